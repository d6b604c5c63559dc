#include "workers.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <utlist.h>

#include "accounts.h"
#include "thread.h"

struct job {
    ask_fn *ask;
    json_t *request;
    int64_t until;
    uint64_t ticket;
    struct job *prev, *next;
};

struct thread {
    pthread_t id;
    struct workers *workers;
    struct worker worker;
};

struct workers {
    pthread_mutex_t lock; /* of the queue and `ending` */
    pthread_cond_t work;
    struct job *queue;
    size_t queued, queue_max;
    bool ending;
    workers_answered_fn *answered;
    void *ctx;
    unsigned count;
    struct thread threads[];
};

/* The next job; NULL when the pool ends. */
static struct job *take(struct workers *workers)
{
    struct job *job = NULL;

    pthread_mutex_lock(&workers->lock);
    while (!workers->queue && !workers->ending)
        pthread_cond_wait(&workers->work, &workers->lock);
    if (!workers->ending) {
        job = workers->queue;
        DL_DELETE(workers->queue, job);
        workers->queued--;
    }
    pthread_mutex_unlock(&workers->lock);
    return job;
}

static json_t *answer(struct worker *worker, const struct job *job)
{
    json_t *answer = NULL;

    worker->until = job->until;
    database_limit(worker->database, job->until);
    if (wait_now() < job->until && worker_reach_database(worker))
        answer = job->ask(worker, job->request);
    return answer ? answer : ask_error("unavailable");
}

static void *run(void *argument)
{
    struct thread *thread = argument;
    struct workers *workers = thread->workers;
    struct job *job;

    while ((job = take(workers))) {
        workers->answered(workers->ctx, job->ticket, answer(&thread->worker, job));
        accounts_wipe(job->request);
        free(job);
    }
    return NULL;
}

struct workers *workers_create(const struct settings *settings, struct accounts *accounts, unsigned count,
                               size_t queue_max, workers_answered_fn *answered, void *ctx)
{
    struct workers *workers = calloc(1, sizeof *workers + count * sizeof workers->threads[0]);

    if (!workers)
        return NULL;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->work, NULL);
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
    DL_FOREACH_SAFE (workers->queue, job, next) {
        accounts_wipe(job->request);
        free(job);
    }
    pthread_cond_destroy(&workers->work);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
    return true;
}
