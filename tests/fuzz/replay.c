/*
 * replay [--before TEXT] PATH...: plays files to a fuzz target, each PATH or all that are in it, in builds
 * without libFuzzer.
 *
 * TEXT comes before what is in each file.  A PATH that does not exist holds nothing; but something must have
 * been played at the end.
 */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"

#define FILE_MAX_BYTES (1 << 20)
#define PATH_MAX_BYTES 4096

static _Noreturn void give_up(const char *path)
{
    fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    exit(1);
}

static void play_file(const char *before, const char *path)
{
    size_t before_len = strlen(before), len;
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(before_len + FILE_MAX_BYTES), *data;

    if (!file || !bytes)
        give_up(path);
    strcpy((char *)bytes, before);
    len = before_len + fread(bytes + before_len, 1, FILE_MAX_BYTES, file);
    if (ferror(file))
        give_up(path);
    fclose(file);
    data = realloc(bytes, len ? len : 1); /* sanitizers see reads behind it */
    if (!data)
        abort();
    fprintf(stderr, "%s\n", path); /* before it may abort */
    LLVMFuzzerTestOneInput(data, len);
    free(data);
}

/* Returns how many files that were. */
static int play_directory(const char *before, const char *path, DIR *directory)
{
    const struct dirent *entry;
    char file[PATH_MAX_BYTES];
    int n = 0;

    while ((entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        play_file(before, file);
        n++;
    }
    return n;
}

static int play(const char *before, const char *path)
{
    DIR *directory = opendir(path);
    int n;

    if (directory) {
        n = play_directory(before, path, directory);
        closedir(directory);
        return n;
    }
    if (errno == ENOENT)
        return 0;
    if (errno != ENOTDIR)
        give_up(path);
    play_file(before, path);
    return 1;
}

int main(int argc, char **argv)
{
    const char *before = "";
    int n = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--before") == 0 && i + 1 < argc)
            before = argv[++i];
        else
            n += play(before, argv[i]);
    }
    printf("%d inputs played\n", n);
    return n > 0 ? 0 : 1;
}
