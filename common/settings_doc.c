/* Prints docs/SETTINGS.md; a test compares. */
#include "settings.h"

int main(void)
{
    settings_print_markdown(stdout);
    return 0;
}
