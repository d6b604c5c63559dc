#include "phrase.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct phrase *phrase_find(const struct phrase *phrases, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(phrases[i].word, word) == 0)
            return &phrases[i];
    }
    return NULL;
}

static void set(struct request *request, size_t offset, const char *value)
{
    *(const char **)((char *)request + offset) = value;
}

/* A number of at most 9 digits, from 1 on.  False: it is none. */
static bool set_limit(struct request *request, const char *word)
{
    size_t digits = strspn(word, "0123456789");

    if (digits == 0 || digits > 9 || word[digits])
        return false;
    request->limit = strtol(word, NULL, 10);
    return request->limit > 0;
}

/* Cuts `arguments` and puts them where they belong.  False if they are too few or too many. */
static bool read_arguments(const struct phrase *phrase, char *arguments, struct request *request)
{
    unsigned n = 0;

    while (arguments && *arguments) {
        bool takes_rest = phrase->rest && n + 1 == phrase->most;
        char *word = takes_rest ? strsep(&arguments, "") : strsep(&arguments, " \t");

        if (!*word)
            continue;
        if (n == phrase->most)
            return false;
        if (phrase->number && !set_limit(request, word))
            return false;
        if (!phrase->number)
            set(request, phrase->offsets[n], word);
        n++;
    }
    return n >= phrase->least;
}

enum decoded phrase_read(const struct phrase *phrase, char *arguments, struct request *request)
{
    if (!read_arguments(phrase, arguments, request)) {
        *request = (struct request){.verb = VERBS};
        return request_refuse(request, ERROR_BAD_REQUEST, phrase->usage);
    }
    request->verb = phrase->verb;
    if (phrase->room)
        request->room = phrase->room;
    return DECODED_REQUEST;
}
