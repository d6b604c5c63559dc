/* options: where each value comes from, which source is stronger, and the one line that says what is wrong.
 * Takes the root of the sources, whose man page and completion must know every option. */
#include "unit.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"

#define HELP_LINES 24
#define HELP_COLUMNS 80
#define ARGUMENTS_MAX 12

static const char *root;

struct home {
    char path[64]; /* of a new directory */
    char conf[160];
    char secret[128];
};

static struct options options;
static char *out, *errors;
static size_t out_len, errors_len;

static void write_file(const char *path, const char *content, size_t len, mode_t mode)
{
    FILE *file;

    unlink(path); /* only root may write into one that is only to be read */
    file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* A home without a settings file, and nothing of ours in the environment. */
static int set_up(void **state)
{
    struct home *home = calloc(1, sizeof *home);
    char directory[128];

    strcpy(home->path, "/tmp/hubbub-options-XXXXXX");
    assert_non_null(mkdtemp(home->path));
    snprintf(directory, sizeof directory, "%s/.config", home->path);
    assert_int_equal(mkdir(directory, 0700), 0);
    snprintf(directory, sizeof directory, "%s/.config/hubbub", home->path);
    assert_int_equal(mkdir(directory, 0700), 0);
    snprintf(home->conf, sizeof home->conf, "%s/client.conf", directory);
    snprintf(home->secret, sizeof home->secret, "%s/secret", home->path);
    setenv("HOME", home->path, 1);
    setenv("LOGNAME", "ann", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HUBBUB_PASSWORD_FILE");
    unsetenv("NO_COLOR");
    *state = home;
    return 0;
}

static int tear_down(void **state)
{
    struct home *home = *state;
    char directory[128];

    options_finish(&options);
    free(out);
    free(errors);
    out = errors = NULL;
    unlink(home->conf);
    unlink(home->secret);
    snprintf(directory, sizeof directory, "%s/.config/hubbub", home->path);
    rmdir(directory);
    snprintf(directory, sizeof directory, "%s/.config", home->path);
    rmdir(directory);
    assert_int_equal(rmdir(home->path), 0);
    free(home);
    return 0;
}

static void settings_file(void **state, const char *content)
{
    struct home *home = *state;

    write_file(home->conf, content, strlen(content), 0644);
}

static void secret(void **state, const char *content, size_t len, mode_t mode)
{
    struct home *home = *state;

    write_file(home->secret, content, len, mode);
    setenv("HUBBUB_PASSWORD_FILE", home->secret, 1);
}

/* Runs options_read with these arguments, separated by '|' ("": none); its result is returned. */
static int read_with(const char *arguments)
{
    char text[256], *argv[ARGUMENTS_MAX + 2] = {(char *)"hubbub"}, *rest = text;
    FILE *to_out, *to_errors;
    int argc = 1, status;

    options_finish(&options);
    free(out);
    free(errors);
    to_out = open_memstream(&out, &out_len);
    to_errors = open_memstream(&errors, &errors_len);
    snprintf(text, sizeof text, "%s", arguments);
    while (arguments[0] && rest && argc <= ARGUMENTS_MAX)
        argv[argc++] = strsep(&rest, "|");
    status = options_read(&options, argc, argv, to_out, to_errors);
    fclose(to_out);
    fclose(to_errors);
    return status;
}

static void assert_taken(const char *arguments)
{
    if (read_with(arguments) != -1)
        fail_msg("%s: %s", arguments, errors);
    assert_string_equal(out, "");
    assert_string_equal(errors, "");
}

/* The arguments are refused with this line; %s in it is replaced by `path`. */
static void assert_refused(const char *arguments, const char *wanted, const char *path)
{
    char line[1100];

    assert_int_equal(read_with(arguments), 2);
    snprintf(line, sizeof line, "hubbub: %s%s\n", path, wanted);
    assert_string_equal(errors, line);
    assert_string_equal(out, "");
}

static void test_without_anything_it_is_the_login_name_in_the_lobby_of_this_machine(void **state)
{
    assert_taken("");
    assert_string_equal(options.name, "ann");
    assert_string_equal(options.room, "lobby");
    assert_string_equal(options.host, "localhost");
    assert_string_equal(options.port, "7000");
    assert_null(options.password);
    assert_int_equal(options.since, 0);
    assert_false(options.tail);
    assert_false(options.json);
    assert_true(options.bell);
    assert_true(options.colours);
}

static void test_without_logname_the_user_of_the_process_counts(void **state)
{
    const struct passwd *entry = getpwuid(getuid());

    unsetenv("LOGNAME");
    assert_taken("");
    if (entry)
        assert_string_equal(options.name, entry->pw_name);
    setenv("LOGNAME", "", 1);
    assert_taken("");
    if (entry)
        assert_string_equal(options.name, entry->pw_name);
}

static void test_a_login_name_that_may_not_be_a_name_is_none(void **state)
{
    setenv("LOGNAME", "DOMAIN\\ann", 1);
    assert_taken("");
    assert_null(options.name);
    setenv("LOGNAME", "Server", 1);
    assert_taken("");
    assert_null(options.name);
}

static void test_options_are_taken_in_any_order(void **state)
{
    assert_taken("-u|Zoë|chat.example:7001|-r|dev|--tail|--json|--since|1873846281994240|--no-bell");
    assert_string_equal(options.name, "Zoë");
    assert_string_equal(options.room, "dev");
    assert_string_equal(options.host, "chat.example");
    assert_string_equal(options.port, "7001");
    assert_int_equal(options.since, 1873846281994240);
    assert_true(options.tail);
    assert_true(options.json);
    assert_false(options.bell);
    assert_taken("-ubob|-r|a|-rb|--tail|--since=7|--|h");
    assert_string_equal(options.name, "bob");
    assert_string_equal(options.room, "b");
    assert_int_equal(options.since, 7);
    assert_string_equal(options.host, "h");
}

static void assert_server(const char *server, const char *host, const char *port)
{
    assert_taken(server);
    assert_string_equal(options.host, host);
    assert_string_equal(options.port, port);
}

static void test_a_server_may_have_a_port_and_be_an_address(void **state)
{
    assert_server("chat", "chat", "7000");
    assert_server("chat:65535", "chat", "65535");
    assert_server("192.0.2.1:1", "192.0.2.1", "1");
    assert_server("[::1]", "::1", "7000");
    assert_server("[2001:db8::1]:7001", "2001:db8::1", "7001");
}

static void test_what_is_no_server_is_refused(void **state)
{
    static const char *const bad[] = {"::1",    "chat:",  ":7000", "chat:0",          "chat:65536",
                                      "chat:x", "[::1",   "[]",    "[::1]x:7000",     "http://chat:7000/",
                                      "a:b:1",  "[::1]:", "[]:1",  "json://chat:7000"};
    char wanted[128];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(wanted, sizeof wanted, "%s: use HOST, HOST:PORT or [IPV6]:PORT", bad[i]);
        assert_refused(bad[i], wanted, "");
    }
    assert_refused("-u|bob|", ": use HOST, HOST:PORT or [IPV6]:PORT", "");
    assert_refused("chat|7000", "7000: there is one server at most, HOST[:PORT]; see hubbub --help", "");
}

static void test_a_bad_option_is_named_with_its_value_and_what_would_do(void **state)
{
    assert_refused("-u|a b",
                   "-u a b: use 1 to 32 letters and digits of any script, _ - and ., but not \"server\"", "");
    assert_refused("-userver",
                   "-u server: use 1 to 32 letters and digits of any script, _ - and ., but not \"server\"",
                   "");
    assert_refused("-r|#dev", "-r #dev: use 1 to 64 letters and digits of any script, _ - and .", "");
    assert_refused("--tail|--since|x", "--since x: use the number that --tail --json shows as \"id\"", "");
    assert_refused("--tail|--since|0", "--since 0: use the number that --tail --json shows as \"id\"", "");
    assert_refused("--tail|--since=9223372036854775808",
                   "--since 9223372036854775808: use the number that --tail --json shows as \"id\"", "");
    assert_refused("-u", "-u: its value is missing; use -u NAME", "");
    assert_refused("chat|-u", "-u: its value is missing; use -u NAME", "");
    assert_refused("--tail|--since", "--since: its value is missing; use --since ID", "");
    assert_refused("--tail=yes", "--tail=yes: it has no value; use --tail", "");
    assert_refused("--quiet", "--quiet: there is no such option; see hubbub --help", "");
    assert_refused("-x", "-x: there is no such option; see hubbub --help", "");
    assert_refused("-ü", "-?: there is no such option; see hubbub --help", "");
}

static void test_json_and_since_need_tail(void **state)
{
    assert_refused("--json", "--json: it needs --tail; add that", "");
    assert_refused("--since|7", "--since: it needs --tail; add that", "");
    assert_taken("--json|--tail");
    assert_taken("--since|7|--tail");
}

static void test_an_error_is_one_line_that_is_safe_to_print(void **state)
{
    assert_refused("-r|a\nb\033[31m\302\233c\177",
                   "-r a?b?[31m??c?: use 1 to 64 letters and digits of any script, _ - and .", "");
}

static void test_the_settings_file_is_read(void **state)
{
    settings_file(state, "# mine\n"
                         "\n"
                         "name = Zoë\r\n"
                         "  room=dev   # where we work\n"
                         "\tserver =  [::1]:7001\n"
                         "bell = off");
    assert_taken("");
    assert_string_equal(options.name, "Zoë");
    assert_string_equal(options.room, "dev");
    assert_string_equal(options.host, "::1");
    assert_string_equal(options.port, "7001");
    assert_false(options.bell);
    settings_file(state, "bell = off\nbell = on\n");
    assert_taken("");
    assert_true(options.bell);
    settings_file(state, "");
    assert_taken("");
}

static void test_the_command_line_is_stronger_than_the_settings_file(void **state)
{
    settings_file(state, "name = Zoe\nroom = dev\nserver = far:7001\nbell = on\n");
    assert_taken("-u|bob|-r|ops|--no-bell|near");
    assert_string_equal(options.name, "bob");
    assert_string_equal(options.room, "ops");
    assert_string_equal(options.host, "near");
    assert_string_equal(options.port, "7000");
    assert_false(options.bell);
}

static void test_xdg_config_home_says_where_the_settings_file_is(void **state)
{
    struct home *home = *state;
    char path[128];

    settings_file(state, "room = dev\n");
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    assert_taken("");
    assert_string_equal(options.room, "lobby");
    snprintf(path, sizeof path, "%s/.config", home->path);
    setenv("XDG_CONFIG_HOME", path, 1);
    unsetenv("HOME");
    assert_taken("");
    assert_string_equal(options.room, "dev");
    setenv("XDG_CONFIG_HOME", "not/absolute", 1);
    assert_taken("");
    assert_string_equal(options.room, "lobby");
    setenv("HOME", home->path, 1);
    setenv("XDG_CONFIG_HOME", "", 1);
    assert_taken("");
    assert_string_equal(options.room, "dev");
}

static void test_a_bad_line_of_the_settings_file_is_named(void **state)
{
    struct home *home = *state;

    settings_file(state, "\n# x\nbel = off\n");
    assert_refused("", ":3: bel: there is no such key; see hubbub --help", home->conf);
    settings_file(state, "bell = loud\n");
    assert_refused("", ":1: bell = loud: use on or off", home->conf);
    settings_file(state, "bell\n");
    assert_refused("", ":1: bell: use key = value", home->conf);
    settings_file(state, " = x\n");
    assert_refused("", ":1: : there is no such key; see hubbub --help", home->conf);
    settings_file(state, "room =\n");
    assert_refused("", ":1: room = : use 1 to 64 letters and digits of any script, _ - and .", home->conf);
    settings_file(state, "name = a#b\n");
    assert_refused(
        "", ":1: name = a#b: use 1 to 32 letters and digits of any script, _ - and ., but not \"server\"",
        home->conf);
    settings_file(state, "server = a b:c\n");
    assert_refused("", ":1: server = a b:c: use HOST, HOST:PORT or [IPV6]:PORT", home->conf);
    settings_file(state, "password_file = secret\n");
    assert_refused("", ":1: password_file = secret: use a path that begins with / or ~/", home->conf);
    settings_file(state, "tail = on\n");
    assert_refused("", ":1: tail: there is no such key; see hubbub --help", home->conf);
}

static void test_a_settings_file_that_cannot_be_read_is_named(void **state)
{
    struct home *home = *state;

    assert_int_equal(mkdir(home->conf, 0700), 0);
    assert_refused("", ": Is a directory; make it a file that you can read, or remove it", home->conf);
    assert_int_equal(rmdir(home->conf), 0);
}

static void test_help_helps_whatever_the_settings_file_holds(void **state)
{
    settings_file(state, "nonsense");
    assert_int_equal(read_with("--help"), 0);
    assert_int_equal(read_with("--version"), 0);
}

static void test_a_password_comes_from_its_file_without_the_line_end(void **state)
{
    struct home *home = *state;
    char longest[PASSWORD_MAX_BYTES + 2];

    secret(state, "a long one\n", 11, 0600);
    assert_taken("");
    assert_string_equal(options.password, "a long one");
    secret(state, " blanks count \r\n", 16, 0400);
    assert_taken("");
    assert_string_equal(options.password, " blanks count ");
    secret(state, "schlüssel", 10, 0600);
    assert_taken("");
    assert_string_equal(options.password, "schlüssel");
    memset(longest, 'x', sizeof longest);
    longest[PASSWORD_MAX_BYTES] = '\r';
    longest[PASSWORD_MAX_BYTES + 1] = '\n';
    secret(state, longest, sizeof longest, 0600);
    assert_taken("");
    assert_int_equal(strlen(options.password), PASSWORD_MAX_BYTES);
    unsetenv("HUBBUB_PASSWORD_FILE");
    settings_file(state, "password_file = ~/secret\n");
    assert_taken("");
    assert_int_equal(strlen(options.password), PASSWORD_MAX_BYTES);
    setenv("HUBBUB_PASSWORD_FILE", "", 1);
    assert_taken("");
    assert_non_null(options.password);
    unlink(home->secret);
}

static void test_the_environments_password_file_is_stronger_than_that_of_the_settings_file(void **state)
{
    settings_file(state, "password_file = /nonexistent/secret\n");
    secret(state, "of the environment", 18, 0600);
    assert_taken("");
    assert_string_equal(options.password, "of the environment");
}

/* The secret is refused with this. */
static void assert_secret_refused(void **state, const char *content, size_t len, mode_t mode, const char *why)
{
    struct home *home = *state;
    char before[200];

    unlink(home->secret);
    secret(state, content, len, mode);
    snprintf(before, sizeof before, "HUBBUB_PASSWORD_FILE=%s", home->secret);
    assert_refused("", why, before);
}

static void test_a_bad_password_file_is_refused_and_what_it_holds_is_not_shown(void **state)
{
    char many[PASSWORD_MAX_BYTES + 1];

    memset(many, 'x', sizeof many);
    assert_secret_refused(state, "secret", 6, 0644, ": others may use this file, too: chmod 600 it");
    assert_secret_refused(state, "secret", 6, 0640, ": others may use this file, too: chmod 600 it");
    assert_secret_refused(state, "secret", 6, 0602, ": others may use this file, too: chmod 600 it");
    assert_secret_refused(state, "", 0, 0600, ": it is empty; put the password into its first line");
    assert_secret_refused(state, "\n", 1, 0600, ": it is empty; put the password into its first line");
    assert_secret_refused(state, "a\nb\n", 4, 0600,
                          ": it has several lines; the password is to be the only one");
    assert_secret_refused(state, "a\n\n", 3, 0600,
                          ": it has several lines; the password is to be the only one");
    assert_secret_refused(state, many, sizeof many, 0600,
                          ": it is too long; a password has 128 bytes at most");
    assert_secret_refused(state, "a\0b", 3, 0600, ": it is not UTF-8; a password is");
    assert_secret_refused(state, "\377\376", 2, 0600, ": it is not UTF-8; a password is");
}

static void test_a_password_file_that_cannot_be_read_is_named(void **state)
{
    struct home *home = *state;

    setenv("HUBBUB_PASSWORD_FILE", "/nonexistent/secret", 1);
    assert_refused(
        "",
        "HUBBUB_PASSWORD_FILE=/nonexistent/secret: No such file or directory; name a file that you can read",
        "");
    setenv("HUBBUB_PASSWORD_FILE", "/", 1);
    assert_refused("", "HUBBUB_PASSWORD_FILE=/: Is a directory; name a file that you can read", "");
    unsetenv("HUBBUB_PASSWORD_FILE");
    settings_file(state, "password_file = /nonexistent/secret\n");
    assert_refused(
        "", "password_file = /nonexistent/secret: No such file or directory; name a file that you can read",
        "");
    assert_non_null(home);
}

static void test_no_color_counts_unless_it_is_empty(void **state)
{
    setenv("NO_COLOR", "1", 1);
    assert_taken("");
    assert_false(options.colours);
    setenv("NO_COLOR", "", 1);
    assert_taken("");
    assert_true(options.colours);
}

static void test_help_fits_a_screen(void **state)
{
    int lines = 0;

    assert_int_equal(read_with("--help"), 0);
    assert_string_equal(errors, "");
    for (const char *at = out; *at; at += strcspn(at, "\n") + 1, lines++)
        if (strcspn(at, "\n") >= HELP_COLUMNS)
            fail_msg("too wide: %.*s", (int)strcspn(at, "\n"), at);
    assert_in_range(lines, 10, HELP_LINES - 2); /* what was typed is above, the shell's prompt below */
}

static void test_the_version_is_told(void **state)
{
    assert_int_equal(read_with("--version"), 0);
    assert_string_equal(out, "hubbub " HUBBUB_VERSION "\n");
}

static void test_help_that_cannot_be_written_is_a_failure(void **state)
{
    char *argv[] = {(char *)"hubbub", (char *)"--help", NULL};
    FILE *full = fopen("/dev/full", "we");

    assert_non_null(full);
    options_finish(&options);
    assert_int_equal(options_read(&options, 2, argv, full, stderr), 1);
    fclose(full);
}

/* The content of a file of the sources.  The caller frees it. */
static char *content_of(const char *name)
{
    char path[4096], *content = NULL;
    size_t size = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", root, name);
    file = fopen(path, "re");
    if (!file)
        fail_msg("cannot read %s", path);
    if (getdelim(&content, &size, '\0', file) < 0)
        fail_msg("%s is empty", path);
    fclose(file);
    return content;
}

static void assert_known(const char *page, const char *content, const char *format, int len, const char *word)
{
    char wanted[128];

    snprintf(wanted, sizeof wanted, format, len, word);
    if (!strstr(content, wanted))
        fail_msg("%s does not have %s", page, wanted);
}

static void test_the_man_page_and_the_completion_know_each_option_and_key(void **state)
{
    char *page = content_of("docs/man/hubbub.1"), *completion = content_of("completions/hubbub.bash");
    int options_seen = 0, keys_seen = 0;

    assert_int_equal(read_with("--help"), 0);
    for (const char *at = out; *at; at += strcspn(at, "\n") + 1) {
        const char *end = at + strcspn(at, "\n"), *is = at;
        int len;

        if (strncmp(at, "  ", 2) != 0)
            continue;
        len = (int)strcspn(at + 2, " \n");
        if (at[2] == '-') { /* mdoc's .Fl puts the first - itself */
            assert_known("docs/man/hubbub.1", page, "\n.It Fl %.*s", len - 1, at + 3);
            assert_known("completions/hubbub.bash", completion, "%.*s", len, at + 2);
            options_seen++;
        }
        while ((is = strstr(is, " = ")) && is < end) {
            const char *key = is++;

            while (key[-1] != ' ')
                key--;
            assert_known("docs/man/hubbub.1", page, "\n.It Cm %.*s", (int)strcspn(key, " "), key);
            keys_seen++;
        }
    }
    assert_int_equal(options_seen, 8);
    assert_int_equal(keys_seen, 5);
    free(page);
    free(completion);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_anything_it_is_the_login_name_in_the_lobby_of_this_machine),
        TEST(test_without_logname_the_user_of_the_process_counts),
        TEST(test_a_login_name_that_may_not_be_a_name_is_none),
        TEST(test_options_are_taken_in_any_order),
        TEST(test_a_server_may_have_a_port_and_be_an_address),
        TEST(test_what_is_no_server_is_refused),
        TEST(test_a_bad_option_is_named_with_its_value_and_what_would_do),
        TEST(test_json_and_since_need_tail),
        TEST(test_an_error_is_one_line_that_is_safe_to_print),
        TEST(test_the_settings_file_is_read),
        TEST(test_the_command_line_is_stronger_than_the_settings_file),
        TEST(test_xdg_config_home_says_where_the_settings_file_is),
        TEST(test_a_bad_line_of_the_settings_file_is_named),
        TEST(test_a_settings_file_that_cannot_be_read_is_named),
        TEST(test_help_helps_whatever_the_settings_file_holds),
        TEST(test_a_password_comes_from_its_file_without_the_line_end),
        TEST(test_the_environments_password_file_is_stronger_than_that_of_the_settings_file),
        TEST(test_a_bad_password_file_is_refused_and_what_it_holds_is_not_shown),
        TEST(test_a_password_file_that_cannot_be_read_is_named),
        TEST(test_no_color_counts_unless_it_is_empty),
        TEST(test_help_fits_a_screen),
        TEST(test_the_version_is_told),
        TEST(test_help_that_cannot_be_written_is_a_failure),
        TEST(test_the_man_page_and_the_completion_know_each_option_and_key),
    };

    root = argc > 1 ? argv[1] : ".";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
