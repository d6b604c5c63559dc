#ifndef HUBBUB_LOG_H
#define HUBBUB_LOG_H

/*
 * log: logfmt lines on stderr, e.g. time=... level=info event=client_closed session=g1-42
 * reason=slow-consumer
 *
 * Fields are given as a printf format of "key=%s key=%d ..." pairs, so that the compiler checks them; every
 * value is quoted and escaped where it needs it, so that nothing a peer sends reaches a terminal raw.
 */

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Sets the least level that is written. */
void log_set_level(enum log_level level);

/* Reads a level's name (debug, info, warn, error).  False if it is none. */
bool log_level_parse(const char *name, enum log_level *level);

/*
 * Writes one line.  `fields` may be "" and understands %s %d %u %ld %lu %lld %llu %zu %c and %%, each as
 * (part of) the value of one key; a NULL string is written as "-".
 */
void log_write(enum log_level level, const char *event, const char *fields, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
