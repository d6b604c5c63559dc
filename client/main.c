/* hubbub: the client.  Talks with a person at a terminal, else with a script. */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "options.h"
#include "script.h"
#include "talk.h"

/* Standard files that were closed: nothing can be read from them, and nothing written.  Else the next file
 * that is opened, a connection perhaps, would get the number, and what is printed. */
static bool hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    struct options options;
    int status;

    if (!hold_standard_files())
        return 1;
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
