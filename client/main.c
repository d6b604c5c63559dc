/* hubbub: the client.  Talks with a person at a terminal, else with a script. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "options.h"
#include "script.h"
#include "talk.h"

int main(int argc, char **argv)
{
    struct options options;
    int status;

    setlocale(LC_CTYPE, ""); /* how wide characters are */
    status = options_read(&options, argc, argv, stdout, stderr);
    if (status >= 0)
        return status;
    signal(SIGPIPE, SIG_IGN);
    if (options.tail)
        status = script_tail(&options);
    else if (isatty(STDIN_FILENO))
        status = talk(&options);
    else
        status = script_say(&options);
    options_finish(&options);
    return status;
}
