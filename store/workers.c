#include "workers.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <utlist.h>

#include "accounts.h"
#include "thread.h"

#define AGAIN_MS 50
#define AGAIN_PATIENCE_MS 4000
#define AGAIN_MAX 64 /* so that those who wait for nothing do not keep the others waiting */

struct job {
    ask_fn *ask;
    json_t *request;
    int64_t until;
    int64_t due; /* while it is in `later` */
    uint64_t ticket;
    bool again; /* it was tried, and is counted in `again` */
    struct job *prev, *next;
};

struct thread {
    pthread_t id;
    struct workers *workers;
    struct worker worker;
};

struct workers {
    pthread_mutex_t lock; /* of the lists, their counts, and `ending` */
    pthread_cond_t work;
    struct job *queue; /* to be taken now */
    struct job *later; /* those not due yet, who is due first in front; each goes to the queue's end then */
    size_t queued;     /* of the queue those that were not tried yet */
    size_t queue_max;
    size_t again; /* all those that were tried and are not answered: here, there, or taken */
    bool ending;
    workers_answered_fn *answered;
    void *ctx;
    unsigned count;
    struct thread threads[];
};

/* With the lock: puts what is due by now into the queue. */
static void bring_back(struct workers *workers)
{
    int64_t now = workers->later ? wait_now() : 0;

    while (workers->later && workers->later->due <= now) {
        struct job *job = workers->later;

        DL_DELETE(workers->later, job);
        DL_APPEND(workers->queue, job);
    }
}

/* With the lock: waits until there may be work. */
static void await_work(struct workers *workers)
{
    struct timespec at;

    if (!workers->later) {
        pthread_cond_wait(&workers->work, &workers->lock);
        return;
    }
    at.tv_sec = (time_t)(workers->later->due / 1000);
    at.tv_nsec = (long)(workers->later->due % 1000) * 1000000;
    pthread_cond_timedwait(&workers->work, &workers->lock, &at);
}

/* The next job; NULL when the pool ends. */
static struct job *take(struct workers *workers)
{
    struct job *job = NULL;

    pthread_mutex_lock(&workers->lock);
    for (bring_back(workers); !workers->queue && !workers->ending; bring_back(workers))
        await_work(workers);
    if (!workers->ending) {
        job = workers->queue;
        DL_DELETE(workers->queue, job);
        workers->queued -= !job->again;
        if (workers->queue || workers->later) /* somebody else is to see to it while we are busy */
            pthread_cond_signal(&workers->work);
    }
    pthread_mutex_unlock(&workers->lock);
    return job;
}

static json_t *answer(struct worker *worker, const struct job *job)
{
    json_t *answer = NULL;

    database_limit(worker->database, job->until);
    if (wait_now() < job->until && worker_reach_database(worker))
        answer = job->ask(worker, job->request);
    return answer ? answer : ask_error("unavailable");
}

/* Puts aside what is to be tried again.  False if that is of no use, or if too many are. */
static bool put_aside(struct workers *workers, struct job *job)
{
    int64_t now = wait_now();
    bool done;

    pthread_mutex_lock(&workers->lock);
    if (!job->again && workers->again < AGAIN_MAX) {
        job->again = true;
        workers->again++;
        if (job->until > now + AGAIN_PATIENCE_MS)
            job->until = now + AGAIN_PATIENCE_MS;
    }
    job->due = now + AGAIN_MS;
    done = job->again && job->due < job->until;
    if (done)
        DL_APPEND(workers->later, job);
    pthread_mutex_unlock(&workers->lock);
    return done;
}

/* Says the answer (taken) and frees the job. */
static void finish(struct workers *workers, struct job *job, json_t *answer)
{
    if (job->again) {
        pthread_mutex_lock(&workers->lock);
        workers->again--;
        pthread_mutex_unlock(&workers->lock);
    }
    workers->answered(workers->ctx, job->ticket, answer);
    accounts_wipe(job->request);
    free(job);
}

static void *run(void *argument)
{
    struct thread *thread = argument;
    struct workers *workers = thread->workers;
    struct job *job;

    while ((job = take(workers))) {
        json_t *said = answer(&thread->worker, job);

        if (said != ASK_AGAIN)
            finish(workers, job, said);
        else if (!put_aside(workers, job))
            finish(workers, job, ask_error("unavailable"));
    }
    return NULL;
}

/* The clock of wait_now, for await_work. */
static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct workers *workers_create(const struct settings *settings, struct accounts *accounts, unsigned count,
                               size_t queue_max, workers_answered_fn *answered, void *ctx)
{
    struct workers *workers = calloc(1, sizeof *workers + count * sizeof workers->threads[0]);

    if (!workers)
        return NULL;
    pthread_mutex_init(&workers->lock, NULL);
    init_condition(&workers->work);
    workers->queue_max = queue_max;
    workers->answered = answered;
    workers->ctx = ctx;
    for (unsigned i = 0; i < count; i++) {
        struct thread *thread = &workers->threads[i];

        thread->workers = workers;
        if (!worker_init(&thread->worker, settings, accounts) || !thread_start(&thread->id, run, thread)) {
            worker_finish(&thread->worker);
            workers_destroy(workers, wait_now() + 1000);
            return NULL;
        }
        workers->count++;
    }
    return workers;
}

bool workers_ask(struct workers *workers, ask_fn *ask, json_t *request, int64_t until, uint64_t ticket)
{
    struct job *job = NULL;

    pthread_mutex_lock(&workers->lock);
    if (workers->queued < workers->queue_max && (job = malloc(sizeof *job))) {
        *job = (struct job){.ask = ask, .request = request, .until = until, .ticket = ticket};
        DL_APPEND(workers->queue, job);
        workers->queued++;
        pthread_cond_signal(&workers->work);
    }
    pthread_mutex_unlock(&workers->lock);
    return job != NULL;
}

static struct job *find(struct job *list, uint64_t ticket)
{
    struct job *job;

    DL_SEARCH_SCALAR(list, job, ticket, ticket);
    return job;
}

void workers_drop(struct workers *workers, uint64_t ticket)
{
    struct job *job;

    pthread_mutex_lock(&workers->lock);
    job = find(workers->queue, ticket);
    if (job) {
        DL_DELETE(workers->queue, job);
        workers->queued -= !job->again;
    } else {
        job = find(workers->later, ticket);
        if (job)
            DL_DELETE(workers->later, job);
    }
    if (job)
        workers->again -= job->again;
    pthread_mutex_unlock(&workers->lock);
    if (job)
        accounts_wipe(job->request);
    free(job);
}

bool workers_destroy(struct workers *workers, int64_t until)
{
    struct job *job, *next;
    bool all = true;

    if (!workers)
        return true;
    pthread_mutex_lock(&workers->lock);
    workers->ending = true;
    pthread_cond_broadcast(&workers->work);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->count; i++)
        all &= thread_join(workers->threads[i].id, until);
    if (!all)
        return false;
    for (unsigned i = 0; i < workers->count; i++)
        worker_finish(&workers->threads[i].worker);
    DL_CONCAT(workers->queue, workers->later);
    DL_FOREACH_SAFE (workers->queue, job, next) {
        accounts_wipe(job->request);
        free(job);
    }
    pthread_cond_destroy(&workers->work);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
    return true;
}
