#include "speech.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carry.h"

/* Nothing in it is special to any dialect, and no blank at its end would be trimmed. */
#define FILLER ".the.quick.brown.fox.jumps.over.the.lazy.dog"

static const struct speech speeches[] = {
    {
        .name = "raw", /* what bench-floor speaks */
        .steps = {{"$r\n", "joined\n"}},
        .chat = "$t\n",
    },
    {
        .name = "json",
        .steps = {{"{\"type\":\"join\",\"data\":\"$n\",\"room\":\"$r\"}\n", "\"welcome\""}},
        .refused = "\"type\":\"error\"",
        .chat = "{\"type\":\"chat\",\"data\":\"$t\"}\n",
        .acked_chat = "{\"type\":\"chat\",\"ref\":\"~000000000000000000000000\",\"data\":\"$t\"}\n",
    },
    {
        .name = "line",
        .steps = {{"LOGIN $n\n", "OK\n"}, {"JOIN $r\n", "OK\n"}},
        .refused = "ERR ",
        .chat = "MSG $t\n",
    },
    {
        .name = "irc",
        .steps = {{"NICK $n\r\nUSER $n 0 * :$n\r\n", " 001 "}, {"JOIN #$r\r\n", " 366 "}},
        .refused = "ERROR ",
        .chat = "PRIVMSG #$r :$t\r\n",
    },
    {
        .name = "nats",
        .steps = {{"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false,\"name\":\"$n\"}\r\n"
                   "SUB $r 1\r\nPING\r\n",
                   "PONG\r\n"}},
        .refused = "-ERR ",
        .chat = "PUB $r $l\r\n$t\r\n",
    },
};

const struct speech *speech_find(const char *name)
{
    for (size_t i = 0; i < sizeof speeches / sizeof *speeches; i++)
        if (strcmp(speeches[i].name, name) == 0)
            return &speeches[i];
    return NULL;
}

/* `form` with what its $ stand for. */
static char *fill_in(const char *form, const char *name, const char *room, const char *text)
{
    char *made = NULL;
    size_t len;
    FILE *file = open_memstream(&made, &len);

    if (file == NULL)
        return NULL;
    for (; *form != '\0'; form++) {
        if (*form != '$')
            fputc(*form, file);
        else if (*++form == 'l')
            fprintf(file, "%zu", strlen(text));
        else
            fputs(*form == 'n' ? name : *form == 'r' ? room : text, file);
    }
    if (fclose(file) != 0) {
        free(made);
        return NULL;
    }
    return made;
}

char *speech_step(const struct speech *speech, unsigned step, const char *name, const char *room)
{
    return fill_in(speech->steps[step].say, name, room, "");
}

char *speech_chat(const struct speech *speech, bool acked, const char *room, size_t bytes)
{
    char *text = malloc(bytes + 1), *chat;

    if (text == NULL)
        return NULL;
    number_write(0, text);
    for (size_t i = NUMBER_LEN; i < bytes; i++)
        text[i] = FILLER[(i - NUMBER_LEN) % (sizeof FILLER - 1)];
    text[bytes] = '\0';
    chat = fill_in(acked ? speech->acked_chat : speech->chat, "", room, text);
    free(text);
    return chat;
}
