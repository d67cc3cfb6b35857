/* The family: processes that descend from one another by fork, and what they hold in common, inherited:
 *
 * - memory files, one per block of constants, empty at first, behind high descriptors that do not survive
 * exec;
 * - a control area, one shared anonymous mapping that says which file belongs to which address and whether it
 *   is published.
 *
 * A file is filled by one process, its *publisher*, then sealed: F_SEAL_WRITE, SHRINK, GROW and SEAL. Nobody
 * maps it before, but for a process that is alone (direct.h). Every member can write anything into the
 * control area, at any time: it holds hints alone. A reader copies what it uses, checks it, verifies the
 * seals itself, and compares every byte before it maps. Nothing there is waited for without a limit.
 *
 * Thread-safety: under the store's lock, but for what only looks at the control area. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/control.h"
#include "store/pages.h"

/* Joins the family of the launcher that holds one, or makes this process the first of its own, with files for
 * so many blocks and as many layers; or adds to the files of one that it has made. True if it is in one. */
bool store_family_make(unsigned blocks);
bool store_family_exists(void);
/* Makes this process the first of another family, before it forks its next members: relatives that it has,
 * which may have become another user's, do not see what that publishes; nor does a launcher that ends before.
 * Files that are `in_use` here stay as they are. False: there is no memory for it. */
bool store_family_renew(const bool is_in_use[STORE_FILES]);
/* Whether this process is the first of the one that it is in. */
bool store_family_is_own(void);
/* Whether a launcher holds its files. */
bool store_family_is_held(void);

/* Processes that have joined. Of the copies that a template forks each counts twice, with the process between
 * that forks it, so that the first has company already; workers of a program do not count. */
enum { STORE_COPIES_OF_ONE = 2 };
unsigned store_family_copies(void);
void store_family_join(void);

/* The file with this key (key.h), free or not; -1 if there is none. Empties, on the way, one whose
 * publisher has died. */
int store_family_find(uintptr_t key);
/* The same; if there is none, one that was nobody's; -1 if all are taken. */
int store_family_file(uintptr_t key);
/* Its key; 0: the file is nobody's yet. */
uintptr_t store_file_key(int file);
/* How many were ever published, layers not counted: whether there is something new. */
unsigned store_family_published(void);

store_file_state store_file_state_of(int file);
/* Takes the right to fill a file. One process of the family fills at a time, so that many that settle
 * together do not need memory for all: false while another that is alive does. */
bool store_file_claim(int file);
/* Whether nobody does, as far as can be seen. */
bool store_file_may_be_claimed(void);
/* Says that this process, which has claimed it, still is at it; false if it has not, or has lost it. */
bool store_file_claimed(int file);
/* A descriptor for writing, verified to be the file, to be closed by the caller; -1. */
int store_file_writer(int file);
/* The descriptor that this process itself holds, verified to be the file, not to be closed; -1. Needs neither
 * /proc nor a free descriptor. */
int store_file_held(int file);
/* Seals the file and tells the family. */
bool store_file_publish(int file);
/* Gives a claim up, this process's or a dead one's: what was written goes back at once, nobody will ever map
 * it, and the file is of no use any more. */
void store_file_abandon(int file);

/* A published file: a descriptor for reading, to be closed by the caller, and the pages that hold something
 * (NULL: not asked for). -1 if it is not what its publisher claims. */
int store_file_reader(int file, store_pages* present);
/* Closes an inherited descriptor: this process has the file mapped, and its children will. */
void store_file_close(int file);
/* This process has compared it all, or had pages of it mapped, and has none mapped any more. A launcher gives
 * up a file that nobody has. */
void store_file_left(int file);
/* Nobody is to use the file, nor to empty it: this process has it mapped, and could not seal it. */
void store_file_disown(int file);

/* Leaves a note of a page that stays different from the block's file; true, and no note, if the last one is
 * by another member who has the same bytes. Of a hash that is seeded with its writer only that can be said:
 * who does not have the bytes cannot make a note of them in another name. */
bool store_family_note(int file, unsigned page, const void* bytes);
/* Whether the last one is. */
bool store_family_noted(int file, unsigned page, const void* bytes);
/* Whether more than a quarter of the family's files are nobody's yet. */
bool store_family_has_spare_files(void);

/* A member lives on after its fork without exec. Any thread, no lock. */
void store_family_lives_on(void);
bool store_family_has_lived_on(void);
/* Somebody in it has mapped what another published, or has it by the fork; a hint. */
void store_family_maps(void);
bool store_family_has_mapped(void);
