#include "width.h"

#include <stdbool.h>

#include <utf8proc.h>

#define ZWJ 0x200d

static bool is_control(int32_t c)
{
    return c < ' ' || (c >= 0x7f && c < 0xa0);
}

unsigned char_width(int32_t c)
{
    if ((c >= 0x1160 && c <= 0x11ff) ||
        (c >= 0xd7b0 && c <= 0xd7ff)) /* vowels and finals of Hangul, drawn into the initial */
        return 0;
    if (utf8proc_category(c) == UTF8PROC_CATEGORY_MC) /* marks that take room; utf8proc says 0, wcwidth() 1 */
        return 1;
    return (unsigned)utf8proc_charwidth(c);
}

/* Whether `c`, which is not the first of its cluster, is drawn. */
static bool is_drawn(int32_t first, int32_t c)
{
    if (c == 0xfe0e || c == 0xfe0f || (c >= 0x1f3fb && c <= 0x1f3ff))
        return false;
    return c != ZWJ || utf8proc_get_property(first)->boundclass != UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC;
}

static void show(struct cluster *cluster, int32_t c)
{
    if (cluster->n == CLUSTER_SHOWN_MAX)
        return;
    cluster->shown[cluster->n++] = c;
    cluster->width += char_width(c);
}

void cluster_read(const char *text, size_t len, struct cluster *cluster)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    utf8proc_int32_t first, before, c, state = 0;
    utf8proc_ssize_t n;

    cluster->n = 0;
    cluster->width = 0;
    cluster->len = 1;
    if (text[0] >= ' ' && text[0] < 0x7f && (len == 1 || (text[1] >= ' ' && text[1] < 0x7f))) { /* most are */
        cluster->shown[cluster->n++] = (unsigned char)text[0];
        cluster->width = 1;
        return;
    }
    n = utf8proc_iterate(at, (utf8proc_ssize_t)len, &first);
    if (n > 0)
        cluster->len = (size_t)n;
    if (n <= 0 || is_control(first)) {
        show(cluster, n <= 0 ? 0xfffd : first == '\n' ? 0x21b5 : first == '\t' ? ' ' : 0xfffd);
        return;
    }
    show(cluster, first);
    for (before = first; cluster->len < len; before = c, cluster->len += (size_t)n) {
        n = utf8proc_iterate(at + cluster->len, (utf8proc_ssize_t)(len - cluster->len), &c);
        if (n <= 0 || is_control(c) || utf8proc_grapheme_break_stateful(before, c, &state))
            break;
        if (is_drawn(first, c))
            show(cluster, c);
    }
    if (char_width(first) ==
        0) /* a mark that has nothing to stand on would be drawn into what is before it */
        cluster->n = cluster->width = 0;
}

size_t cluster_len(const char *text, size_t len)
{
    struct cluster cluster;

    if (len == 0)
        return 0;
    cluster_read(text, len, &cluster);
    return cluster.len;
}

size_t cluster_before(const char *text, size_t at)
{
    size_t start = 0, next;

    for (next = cluster_len(text, at); next < at; next += cluster_len(text + next, at - next))
        start = next;
    return start;
}

unsigned text_width(const char *text, size_t len)
{
    struct cluster cluster;
    unsigned width = 0;

    for (; len > 0; text += cluster.len, len -= cluster.len) {
        cluster_read(text, len, &cluster);
        width += cluster.width;
    }
    return width;
}
