#ifndef HUBBUB_STORE_THREAD_H
#define HUBBUB_STORE_THREAD_H

/*
 * thread: starting and ending the store's threads.  Signals are the first thread's.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts one in which no signal is handled.  False if there can be no more. */
bool thread_start(pthread_t *id, void *(*run)(void *), void *argument);

/* Waits until it has ended; false if it has not by `until` (of wait_now). */
bool thread_join(pthread_t id, int64_t until);

#endif
