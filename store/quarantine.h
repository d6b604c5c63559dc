#ifndef HUBBUB_STORE_QUARANTINE_H
#define HUBBUB_STORE_QUARANTINE_H

/*
 * quarantine: what could not be stored is kept for a person to look at, once each however often it is read.
 */

#include "database.h"
#include "entry.h"

/* Writes down those of the `n` entries of `lane` that are ENTRY_REFUSED. */
enum answer quarantine_entries(struct database *database, unsigned lane, struct entry *entries, size_t n);

/* Writes down that what came after `cursor` in `lane` was trimmed, up to `trimmed`, before it was stored. */
enum answer quarantine_hole(struct database *database, unsigned lane, event_id cursor, event_id trimmed);

#endif
