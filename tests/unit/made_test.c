/* What is made from the sources, or noted of them, is up to date.  Takes the root of the sources. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "functions.h"
#include "settings.h"

static const char *root;

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

static void test_the_page_of_settings_is_what_the_table_prints(void **state)
{
    char *page = content_of("docs/SETTINGS.md"), *made;
    size_t size;
    FILE *out = open_memstream(&made, &size);

    settings_print_markdown(out);
    fclose(out);
    if (strcmp(page, made) != 0)
        fail_msg("docs/SETTINGS.md is old: run `make settings`");
    free(page);
    free(made);
}

static void test_the_library_is_embedded_as_it_is(void **state)
{
    char *lua = content_of("common/functions.lua");

    assert_true(strcmp(lua, FUNCTIONS_LUA) == 0);
    free(lua);
}

static void test_the_library_has_one_revision(void **state)
{
    assert_ptr_equal(strstr(FUNCTIONS_LUA, "#!lua name=" FUNCTION_LIBRARY "\n"), FUNCTIONS_LUA);
    assert_non_null(strstr(FUNCTIONS_LUA, "\nlocal REVISION = '" FUNCTIONS_REVISION "'\n"));
    assert_non_null(strstr(FUNCTIONS_LUA, "\nlocal KEY_VERSION = '" KEY_VERSION "'\n"));
}

/* A Redis keeps a library that it has: one that changed under its old name would never get there. */
static void test_a_changed_library_has_a_new_revision(void **state)
{
    char *noted = content_of("tests/unit/functions.revision");
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof hash + 1], line[sizeof hex + 16];
    bool same_revision, same_hash;

    crypto_hash_sha256(hash, (const unsigned char *)FUNCTIONS_LUA, strlen(FUNCTIONS_LUA));
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    snprintf(line, sizeof line, FUNCTIONS_REVISION " %s\n", hex);
    same_revision = strncmp(noted, FUNCTIONS_REVISION " ", sizeof FUNCTIONS_REVISION) == 0;
    same_hash = strstr(noted, hex) != NULL;
    if (!same_hash && same_revision)
        fail_msg(
            "common/functions.lua changed: raise the number in its first line and in REVISION, then write "
            "the "
            "new revision and the file's SHA-256 into tests/unit/functions.revision (with this number: %s)",
            line);
    if (strcmp(noted, line) != 0)
        fail_msg("write this line into tests/unit/functions.revision: %s", line);
    free(noted);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_of_settings_is_what_the_table_prints),
        cmocka_unit_test(test_the_library_is_embedded_as_it_is),
        cmocka_unit_test(test_the_library_has_one_revision),
        cmocka_unit_test(test_a_changed_library_has_a_new_revision),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: %s SOURCE-ROOT\n", argv[0]);
        return 2;
    }
    root = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
