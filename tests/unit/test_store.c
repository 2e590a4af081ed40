// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_store.c - the store on a real file system: what was durable comes back, what was torn goes,
 * what has rotted is refused and left alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "nva/store_file.h"
#include "nva/store_frame.h"
#include "tests/unit/unit.h"

enum {
	COMMITS = 5,
	LOADED_MAX = 1 << 17,
	DEADLINE_MS = 30000,
};

/* --- a store and what it gave back --- */

struct bench {
	char path[PATH_MAX];
	struct store *store;
	struct change *loaded;
	size_t loaded_count;
	char message[STORE_MESSAGE_SIZE];
};

static struct bench *bench_new(void)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	const char *parent = getenv("TMPDIR");

	CU_ASSERT_PTR_NOT_NULL_FATAL(bench);
	if (!parent) /* thousands of syncs: in memory if that can be */
		parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void) snprintf(bench->path, sizeof(bench->path), "%s/store-XXXXXX", parent);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(bench->path));
	bench->loaded = calloc(LOADED_MAX, sizeof(*bench->loaded));
	CU_ASSERT_PTR_NOT_NULL_FATAL(bench->loaded);
	return bench;
}

static void each_file(const char *path, void (*each)(void *userdata, const char *file),
		      void *userdata)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;

	CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
	while ((entry = readdir(directory))) {
		char file[PATH_MAX + NAME_MAX + 2];

		if (entry->d_name[0] == '.')
			continue;
		(void) snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		each(userdata, file);
	}
	closedir(directory);
}

static void remove_file(void *userdata, const char *file)
{
	(void) unlink(file);
}

static void bench_close(struct bench *bench)
{
	bench->store = store_free(bench->store);
	bench->loaded_count = 0;
}

static struct bench *bench_free(struct bench *bench)
{
	bench_close(bench);
	each_file(bench->path, remove_file, NULL);
	(void) rmdir(bench->path);
	free(bench->loaded);
	free(bench);
	return NULL;
}
DEFINE_CLEANUP(struct bench, bench_free)

/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration cannot have them. */
#define BENCH(name) _cleanup_(bench_freep) struct bench *name = bench_new()

static int take_change(void *userdata, const struct change *change)
{
	struct bench *bench = userdata;

	CU_ASSERT_TRUE_FATAL(bench->loaded_count < LOADED_MAX);
	bench->loaded[bench->loaded_count++] = *change;
	return 0;
}

static int open_with(struct bench *bench, struct store_file_options options)
{
	int r;

	bench_close(bench);
	options.path = bench->path;
	r = store_file_open(&options, &bench->store, bench->message);
	if (r == 0)
		r = store_load(bench->store, take_change, bench, bench->message);
	return r;
}

static int open_result(struct bench *bench)
{
	return open_with(bench, (struct store_file_options){ 0 });
}

static void reopen(struct bench *bench)
{
	int r = open_result(bench);

	if (r < 0)
		printf("%s\n", bench->message);
	CU_ASSERT_EQUAL_FATAL(r, 0);
}

/* --- changes --- */

static struct change mapping_change(unsigned number, uint64_t generation)
{
	struct change change = {
		.kind = CHANGE_MAPPING,
		.incarnation = 1,
		.name = "hv1",
		.mapping = { .vni = 1 + number % 3,
			     .mac = { { 2, 0, (uint8_t) (number >> 24), (uint8_t) (number >> 16),
					(uint8_t) (number >> 8), (uint8_t) number } },
			     .generation = generation,
			     .ip_count = 2,
			     .ips = { { AF_INET,
					{ 10, 0, (uint8_t) (number >> 8),
					  (uint8_t) (number | 1) } },
				      { AF_INET6, { 0xfd, [15] = (uint8_t) (number | 1) } } } },
	};

	return change;
}

static struct change removed_change(unsigned number, uint64_t generation, uint64_t when_s)
{
	struct change change = mapping_change(number, generation);

	change.kind = CHANGE_REMOVED;
	change.removed_s = when_s;
	return change;
}

static bool same(const struct change *a, const struct change *b)
{
	uint8_t left[CHANGE_SIZE_MAX], right[CHANGE_SIZE_MAX];
	size_t size = change_pack(a, left);

	return change_pack(b, right) == size && memcmp(left, right, size) == 0;
}

static void append(struct bench *bench, struct change change)
{
	CU_ASSERT_EQUAL_FATAL(store_append(bench->store, &change), 0);
}

/* False when it does not become durable because the store does not work. */
static bool wait_for(struct bench *bench, uint64_t ticket)
{
	struct pollfd fd = { .fd = store_fd(bench->store), .events = POLLIN };

	while (store_durable(bench->store) < ticket) {
		if (store_state(bench->store, NULL) != STORE_WORKS)
			return false;
		CU_ASSERT_EQUAL_FATAL(poll(&fd, 1, DEADLINE_MS), 1);
		store_dispatch(bench->store);
	}
	return true;
}

static bool commit(struct bench *bench)
{
	return wait_for(bench, store_commit(bench->store));
}

/* --- files --- */

struct content {
	uint8_t *data;
	size_t size;
};

static void file_path(const struct bench *bench, const char *name, char *path)
{
	(void) snprintf(path, PATH_MAX + NAME_MAX, "%.*s/%s", PATH_MAX, bench->path, name);
}

static struct content read_file(const struct bench *bench, const char *name)
{
	char path[PATH_MAX + NAME_MAX];
	struct content content = { 0 };
	struct stat status;
	int fd;

	file_path(bench, name, path);
	fd = open(path, O_RDONLY);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(fstat(fd, &status), 0);
	content.size = (size_t) status.st_size;
	content.data = malloc(content.size + 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(content.data);
	CU_ASSERT_EQUAL_FATAL(read(fd, content.data, content.size), (ssize_t) content.size);
	close(fd);
	return content;
}

static void write_file(const struct bench *bench, const char *name, const uint8_t *data,
		       size_t size)
{
	char path[PATH_MAX + NAME_MAX];
	int fd;

	file_path(bench, name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, data, size), (ssize_t) size);
	close(fd);
}

static bool file_is(const struct bench *bench, const char *name, const struct content *expected)
{
	struct content content = read_file(bench, name);
	bool equal = content.size == expected->size &&
		     memcmp(content.data, expected->data, content.size) == 0;

	free(content.data);
	return equal;
}

static const char log1[] = "log-0000000000000001";

/* COMMITS frames of one, two, ... changes in log 1, and the mark of its end. */
static struct content sample_log(struct bench *bench)
{
	unsigned number = 0;

	reopen(bench);
	for (unsigned i = 0; i < COMMITS; i++) {
		for (unsigned n = 0; n <= i; n++)
			append(bench, mapping_change(number++, 1));
		CU_ASSERT_TRUE(commit(bench));
	}
	bench_close(bench);
	return read_file(bench, log1);
}

/* How many changes stand in frames that end at or before @size. */
static size_t changes_before(const struct content *log, size_t size)
{
	size_t position = STORE_HEAD_SIZE, count = 0;
	struct frame frame;

	for (uint64_t n = 0; frame_next(log->data, size, &position, n, &frame) > 0; n++) {
		const uint8_t *data;
		size_t at = 0, change_size;

		while (body_next(&frame, &at, &data, &change_size) > 0)
			count++;
	}
	return count;
}

/* --- tests --- */

static void an_empty_directory_becomes_a_store(void)
{
	BENCH(bench);

	reopen(bench);
	CU_ASSERT_EQUAL(bench->loaded_count, 0);
	CU_ASSERT_EQUAL(store_durable(bench->store), store_commit(bench->store));
	reopen(bench);
	CU_ASSERT_EQUAL(bench->loaded_count, 0);
}

static void the_directory_is_made_for_its_owner_only(void)
{
	BENCH(bench);
	char parent[PATH_MAX];
	struct stat status;

	(void) snprintf(parent, sizeof(parent), "%s", bench->path);
	(void) snprintf(bench->path, sizeof(bench->path), "%.*s/a", PATH_MAX - 3, parent);
	(void) strncat(bench->path, "/b", 3);
	reopen(bench);
	CU_ASSERT_EQUAL(stat(bench->path, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0700);
	bench_close(bench);
	each_file(bench->path, remove_file, NULL);
	CU_ASSERT_EQUAL(rmdir(bench->path), 0);
	bench->path[strlen(bench->path) - 2] = '\0';
	CU_ASSERT_EQUAL(rmdir(bench->path), 0);
	(void) snprintf(bench->path, sizeof(bench->path), "%s", parent);
}

static void everything_comes_back_in_order(void)
{
	static const struct change first[] = {
		{ .kind = CHANGE_IDENTITY, .incarnation = 42 },
		{ .kind = CHANGE_NVE,
		  .name = "hv1",
		  .incarnation = 1,
		  .vtep = { AF_INET, { 192, 0, 2, 1 } } },
		{ .kind = CHANGE_NVE,
		  .name = "hv2",
		  .incarnation = 1,
		  .vtep = { AF_INET6, { 0x20, 1, [15] = 1 } } },
		{ .kind = CHANGE_MEMBER, .name = "hv1", .mapping = { .vni = 1 } },
	};
	const struct change removed = removed_change(0, 1, 1700000000);
	BENCH(bench);

	reopen(bench);
	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		append(bench, first[i]);
	CU_ASSERT_TRUE(commit(bench));
	for (unsigned i = 0; i < 1000; i++) {
		append(bench, mapping_change(i, 1));
		(void) store_commit(bench->store); /* group commit: many before one is durable */
	}
	append(bench, removed);
	CU_ASSERT_TRUE(commit(bench));

	for (unsigned round = 0; round < 2; round++) {
		reopen(bench);
		CU_ASSERT_EQUAL_FATAL(bench->loaded_count, ARRAY_SIZE(first) + 1001);
		for (size_t i = 0; i < ARRAY_SIZE(first); i++)
			CU_ASSERT_TRUE(same(&bench->loaded[i], &first[i]));
		for (unsigned i = 0; i < 1000; i++) {
			struct change expected = mapping_change(i, 1);

			CU_ASSERT_TRUE(same(&bench->loaded[ARRAY_SIZE(first) + i], &expected));
		}
		CU_ASSERT_TRUE(same(&bench->loaded[ARRAY_SIZE(first) + 1000], &removed));
	}
}

/* Tickets grow one by one, and what was not committed does not get to the disk. */
static void only_what_was_committed_is_kept(void)
{
	BENCH(bench);

	reopen(bench);
	CU_ASSERT_EQUAL(store_commit(bench->store), 0);
	append(bench, mapping_change(1, 1));
	CU_ASSERT_EQUAL(store_commit(bench->store), 1);
	CU_ASSERT_EQUAL(store_commit(bench->store), 1);
	append(bench, mapping_change(2, 1));
	CU_ASSERT_EQUAL(store_commit(bench->store), 2);
	append(bench, mapping_change(3, 1));
	(void) wait_for(bench, 1);
	reopen(bench);
	CU_ASSERT_TRUE(bench->loaded_count <= 2);
}

static void what_waits_is_written_before_the_end(void)
{
	BENCH(bench);

	reopen(bench);
	for (unsigned i = 0; i < 100; i++) {
		append(bench, mapping_change(i, 1));
		(void) store_commit(bench->store);
	}
	reopen(bench);
	CU_ASSERT_EQUAL(bench->loaded_count, 100);
}

/* Of @log the first @cut bytes are on disk, and zeros up to @size. */
static void check_torn(struct bench *bench, const struct content *log, size_t cut, size_t size)
{
	struct content torn = { calloc(1, size + 1), size };
	size_t expected;

	CU_ASSERT_PTR_NOT_NULL_FATAL(torn.data);
	memcpy(torn.data, log->data, cut);
	expected = changes_before(&torn, size);
	bench_close(bench);
	write_file(bench, log1, torn.data, size);
	free(torn.data);
	reopen(bench);
	CU_ASSERT_EQUAL(bench->loaded_count, expected);
	if (cut % 16 != 0)
		return;
	append(bench, mapping_change(77, 2));
	CU_ASSERT_TRUE(commit(bench));
	reopen(bench);
	CU_ASSERT_EQUAL(bench->loaded_count, expected + 1);
}

/*
 * A power failure leaves a part of the last frame, or zeros in its place: the frames before it
 * count, and the store goes on.
 */
static void a_torn_tail_is_dropped(void)
{
	BENCH(bench);
	struct content log = sample_log(bench);

	for (size_t cut = STORE_HEAD_SIZE; cut <= log.size; cut++) {
		check_torn(bench, &log, cut, cut);
		check_torn(bench, &log, cut, log.size);
	}
	bench_close(bench);
	for (size_t cut = 0; cut < STORE_HEAD_SIZE; cut++) {
		write_file(bench, log1, log.data, cut);
		CU_ASSERT_EQUAL(open_result(bench), -EBADMSG);
	}
	free(log.data);
}

/* No bit of what was durable can change unnoticed, and the file is left as it is. */
static void every_flipped_bit_is_noticed(void)
{
	BENCH(bench);
	struct content log = sample_log(bench);
	size_t all = changes_before(&log, log.size), refused = 0;

	for (size_t bit = 0; bit < log.size * 8; bit++) {
		int r;

		log.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
		write_file(bench, log1, log.data, log.size);
		r = open_result(bench);
		if (r == 0) {
			/* in the mark of the end, which holds nothing */
			CU_ASSERT_TRUE(bit / 8 >= log.size - FRAME_HEADER_SIZE);
			CU_ASSERT_EQUAL(bench->loaded_count, all);
		} else {
			CU_ASSERT_EQUAL(r, -EBADMSG);
			CU_ASSERT_PTR_NOT_NULL(strstr(bench->message, "damaged"));
			CU_ASSERT_TRUE(file_is(bench, log1, &log));
			refused++;
		}
		bench_close(bench);
		log.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
	}
	CU_ASSERT_TRUE(refused >= (log.size - FRAME_HEADER_SIZE) * 8);
	free(log.data);
}

static void a_newer_version_is_refused(void)
{
	const struct store_head head = { STORE_VERSION + 1, STORE_FILE_LOG, 1 };
	BENCH(bench);
	struct content log = sample_log(bench);

	store_head_pack(&head, log.data);
	write_file(bench, log1, log.data, log.size);
	CU_ASSERT_EQUAL(open_result(bench), -EPROTONOSUPPORT);
	CU_ASSERT_PTR_NOT_NULL(strstr(bench->message, "newer NVA"));
	CU_ASSERT_TRUE(file_is(bench, log1, &log));
	free(log.data);
}

static void another_kind_of_file_is_refused(void)
{
	static const char text[] = "Dear diary, this is certainly not the log of an NVA at all.\n";
	BENCH(bench);
	struct content content = { (uint8_t *) text, sizeof(text) };

	write_file(bench, log1, content.data, content.size);
	CU_ASSERT_EQUAL(open_result(bench), -EBADMSG);
	CU_ASSERT_TRUE(file_is(bench, log1, &content));
}

static void a_log_that_is_missing_is_noticed(void)
{
	BENCH(bench);
	struct content log = sample_log(bench);

	/* Log 1 is gone, log 3 is there. */
	write_file(bench, "log-0000000000000003", log.data, log.size);
	CU_ASSERT_EQUAL(open_result(bench), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(bench->message, "log-0000000000000002: it is missing"));
	/* A log under another's name. */
	write_file(bench, "log-0000000000000002", log.data, log.size);
	CU_ASSERT_EQUAL(open_result(bench), -EBADMSG);
	free(log.data);
}

/* Only the last log can have been torn by a power failure. */
static void an_older_log_that_is_cut_is_refused(void)
{
	const struct store_head head = { STORE_VERSION, STORE_FILE_LOG, 2 };
	BENCH(bench);
	struct content log = sample_log(bench);
	uint8_t second[STORE_HEAD_SIZE];

	store_head_pack(&head, second);
	write_file(bench, "log-0000000000000002", second, sizeof(second));
	reopen(bench);
	CU_ASSERT_EQUAL(bench->loaded_count, changes_before(&log, log.size));
	bench_close(bench);
	write_file(bench, log1, log.data, log.size - 1);
	CU_ASSERT_EQUAL(open_result(bench), -EBADMSG);
	free(log.data);
}

static void a_second_nva_is_refused(void)
{
	BENCH(bench);
	struct store_file_options options = { .path = bench->path };
	struct store *second = NULL;

	reopen(bench);
	CU_ASSERT_EQUAL(store_file_open(&options, &second, bench->message), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(bench->message, "in use by another NVA"));
	options.read_only = true;
	CU_ASSERT_EQUAL(store_file_open(&options, &second, bench->message), -EBUSY);
}

static void looking_at_it_changes_nothing(void)
{
	const struct store_file_options options = { .read_only = true };
	BENCH(bench);
	struct content log = sample_log(bench);

	log.size--;
	write_file(bench, log1, log.data, log.size);
	write_file(bench, "snapshot-0000000000000002.tmp", log.data, log.size);
	CU_ASSERT_EQUAL(open_with(bench, options), 0);
	CU_ASSERT_EQUAL(bench->loaded_count, changes_before(&log, log.size));
	bench_close(bench);
	CU_ASSERT_TRUE(file_is(bench, log1, &log));
	CU_ASSERT_TRUE(file_is(bench, "snapshot-0000000000000002.tmp", &log));
	free(log.data);

	each_file(bench->path, remove_file, NULL);
	CU_ASSERT_EQUAL(rmdir(bench->path), 0);
	CU_ASSERT_EQUAL(open_with(bench, options), -ENOENT);
	CU_ASSERT_EQUAL(mkdir(bench->path, 0700), 0);
}

static void a_directory_that_is_not_writable_is_refused(void)
{
	uid_t before = geteuid();
	BENCH(bench);

	CU_ASSERT_EQUAL(chmod(bench->path, 0555), 0);
	if (before == 0)
		CU_ASSERT_EQUAL_FATAL(seteuid(65534), 0);
	CU_ASSERT_EQUAL(open_result(bench), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(bench->message, "Permission denied"));
	CU_ASSERT_EQUAL_FATAL(seteuid(before), 0);
	CU_ASSERT_EQUAL(chmod(bench->path, 0700), 0);
}

/* --- snapshots --- */

static void add_size(void *userdata, const char *file)
{
	size_t *total = userdata;
	struct stat status;

	if (stat(file, &status) == 0)
		*total += (size_t) status.st_size;
}

/*
 * The state that the loaded changes end in: mappings 0 to @count, by generation; 0: removed or
 * never there.
 */
static void replay(const struct bench *bench, uint64_t *generations)
{
	for (size_t i = 0; i < bench->loaded_count; i++) {
		const struct change *change = &bench->loaded[i];
		const uint8_t *octet = change->mapping.mac.octet;

		if (change->kind == CHANGE_MAPPING || change->kind == CHANGE_REMOVED)
			generations[octet[4] << 8 | octet[5]] =
				change->kind == CHANGE_MAPPING ? change->mapping.generation : 0;
	}
}

static void a_snapshot_keeps_the_last_of_each(void)
{
	enum { ROUNDS = 400, KEYS = 50 };
	const struct store_file_options small = { .log_max = 4096 };
	uint64_t expected[KEYS] = { 0 }, found[KEYS] = { 0 };
	BENCH(bench);

	srand(1);
	CU_ASSERT_EQUAL_FATAL(open_with(bench, small), 0);
	append(bench, (struct change){ .kind = CHANGE_IDENTITY, .incarnation = 42 });
	append(bench, (struct change){ .kind = CHANGE_MEMBER, .name = "m", .mapping.vni = 1 });
	append(bench, (struct change){ .kind = CHANGE_MEMBER, .name = "n", .mapping.vni = 1 });
	append(bench, (struct change){ .kind = CHANGE_MEMBER_GONE, .name = "n", .mapping.vni = 1 });
	for (unsigned i = 1; i <= ROUNDS; i++) {
		unsigned key = (unsigned) rand() % KEYS;

		expected[key] = rand() % 4 ? i : 0;
		append(bench,
		       expected[key] ? mapping_change(key, i) : removed_change(key, i, UINT32_MAX));
		CU_ASSERT_TRUE_FATAL(commit(bench));
		if (i % 100 == 0)
			CU_ASSERT_EQUAL_FATAL(open_with(bench, small), 0);
	}
	reopen(bench);
	CU_ASSERT_EQUAL(bench->loaded[0].kind, CHANGE_IDENTITY);
	CU_ASSERT_EQUAL(bench->loaded[1].kind, CHANGE_MEMBER);
	CU_ASSERT_STRING_EQUAL(bench->loaded[1].name, "m");
	for (size_t i = 0; i < bench->loaded_count; i++)
		if (bench->loaded[i].kind == CHANGE_MAPPING)
			CU_ASSERT_EQUAL(bench->loaded[i].mapping.ip_count, 2);
	replay(bench, found);
	CU_ASSERT_EQUAL(memcmp(found, expected, sizeof(found)), 0);
}

static size_t size_on_disk(const struct bench *bench)
{
	size_t total = 0;

	each_file(bench->path, add_size, &total);
	return total;
}

/* A snapshot is taken beside the commits, so a log or two more may stand there for a while. */
static void the_store_does_not_grow_with_its_changes(void)
{
	enum { LOG_SIZE = 4096, KEYS = 50, CHANGES = 2000, CHANGES_MAX = 100000 };
	const size_t bound = 3 * LOG_SIZE + 2 * KEYS * 100;
	const struct store_file_options small = { .log_max = LOG_SIZE };
	BENCH(bench);

	CU_ASSERT_EQUAL_FATAL(open_with(bench, small), 0);
	for (unsigned i = 1; i <= CHANGES || size_on_disk(bench) >= bound; i++) {
		CU_ASSERT_TRUE_FATAL(i < CHANGES_MAX);
		append(bench, mapping_change(i % KEYS, i));
		CU_ASSERT_TRUE_FATAL(commit(bench));
	}
}

/* Waits for a snapshot: the directory's oldest log is gone. */
static void fill_until_snapshot(struct bench *bench)
{
	char path[PATH_MAX + NAME_MAX];

	file_path(bench, log1, path);
	for (unsigned i = 0; access(path, F_OK) == 0; i++) {
		CU_ASSERT_TRUE_FATAL(i < 100000);
		append(bench, mapping_change(5, i + 1));
		CU_ASSERT_TRUE_FATAL(commit(bench));
	}
}

static void old_withdrawals_are_forgotten(void)
{
	const struct store_file_options small = { .log_max = 4096 };
	const struct change fresh = removed_change(2, 9, (uint64_t) UINT32_MAX);
	size_t removed = 0;
	BENCH(bench);

	CU_ASSERT_EQUAL_FATAL(open_with(bench, small), 0);
	append(bench, removed_change(1, 9, 1000));
	append(bench, fresh);
	fill_until_snapshot(bench);
	reopen(bench);
	for (size_t i = 0; i < bench->loaded_count; i++)
		if (bench->loaded[i].kind == CHANGE_REMOVED) {
			CU_ASSERT_TRUE(same(&bench->loaded[i], &fresh));
			removed++;
		}
	CU_ASSERT_EQUAL(removed, 1);
}

static void take_snapshot_name(void *userdata, const char *file)
{
	const char *name = strrchr(file, '/') + 1;

	if (strncmp(name, "snapshot-", strlen("snapshot-")) == 0)
		(void) snprintf(userdata, NAME_MAX + 1, "%s", name);
}

static void every_cut_of_a_snapshot_is_noticed(void)
{
	const struct store_file_options small = { .log_max = 4096 };
	char name[NAME_MAX + 1] = ""; /* the second one, or a later one where its thread was slow */
	BENCH(bench);
	struct content snapshot;

	CU_ASSERT_EQUAL_FATAL(open_with(bench, small), 0);
	append(bench, (struct change){ .kind = CHANGE_IDENTITY, .incarnation = 42 });
	fill_until_snapshot(bench);
	bench_close(bench);
	each_file(bench->path, take_snapshot_name, name);
	CU_ASSERT_NOT_EQUAL_FATAL(name[0], '\0');
	snapshot = read_file(bench, name);
	for (size_t cut = 0; cut < snapshot.size; cut++) {
		write_file(bench, name, snapshot.data, cut);
		CU_ASSERT_EQUAL(open_result(bench), -EBADMSG);
	}
	write_file(bench, name, snapshot.data, snapshot.size);
	reopen(bench);
	free(snapshot.data);
}

/*
 * A crash between a snapshot's name and the removal of what it replaces, or before it has a name.
 */
static void leftovers_are_removed(void)
{
	const struct store_file_options small = { .log_max = 4096 };
	char path[PATH_MAX + NAME_MAX];
	BENCH(bench);
	struct content log = sample_log(bench);

	CU_ASSERT_EQUAL_FATAL(open_with(bench, small), 0);
	fill_until_snapshot(bench);
	bench_close(bench);
	write_file(bench, log1, log.data, log.size);
	write_file(bench, "snapshot-0000000000000003.tmp", log.data, log.size);
	reopen(bench);
	file_path(bench, log1, path);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	file_path(bench, "snapshot-0000000000000003.tmp", path);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	free(log.data);
}

/* --- trouble --- */

/* EFBIG stands for any error that is not a full disk. */
static void an_error_is_final_and_said(void)
{
	const struct rlimit none = { 4096, RLIM_INFINITY };
	struct rlimit before;
	const char *text;
	BENCH(bench);
	size_t acknowledged = 0;

	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
	(void) signal(SIGXFSZ, SIG_IGN);
	reopen(bench);
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &none), 0);
	do
		append(bench, mapping_change((unsigned) acknowledged, 1));
	while (commit(bench) && ++acknowledged < 1000);
	CU_ASSERT_EQUAL(store_state(bench->store, &text), STORE_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "File too large"));
	append(bench, mapping_change(999, 1));
	CU_ASSERT_FALSE(commit(bench));
	bench_close(bench);
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &before), 0);
	reopen(bench);
	CU_ASSERT_EQUAL(bench->loaded_count, acknowledged);
	CU_ASSERT_TRUE(acknowledged > 10);
}

static void no_store_has_everything_at_once(void)
{
	const struct change change = mapping_change(1, 1);
	struct store *none = NULL;
	const char *text;

	CU_ASSERT_EQUAL(store_append(none, &change), 0);
	CU_ASSERT_EQUAL(store_durable(none), store_commit(none));
	CU_ASSERT_EQUAL(store_state(none, &text), STORE_WORKS);
	CU_ASSERT_EQUAL(store_fd(none), -1);
}

UNIT_MAIN("store", UNIT_TEST(an_empty_directory_becomes_a_store),
	  UNIT_TEST(the_directory_is_made_for_its_owner_only),
	  UNIT_TEST(everything_comes_back_in_order), UNIT_TEST(only_what_was_committed_is_kept),
	  UNIT_TEST(what_waits_is_written_before_the_end), UNIT_TEST(a_torn_tail_is_dropped),
	  UNIT_TEST(every_flipped_bit_is_noticed), UNIT_TEST(a_newer_version_is_refused),
	  UNIT_TEST(another_kind_of_file_is_refused), UNIT_TEST(a_log_that_is_missing_is_noticed),
	  UNIT_TEST(an_older_log_that_is_cut_is_refused), UNIT_TEST(a_second_nva_is_refused),
	  UNIT_TEST(looking_at_it_changes_nothing),
	  UNIT_TEST(a_directory_that_is_not_writable_is_refused),
	  UNIT_TEST(a_snapshot_keeps_the_last_of_each),
	  UNIT_TEST(the_store_does_not_grow_with_its_changes),
	  UNIT_TEST(old_withdrawals_are_forgotten),
	  UNIT_TEST(every_cut_of_a_snapshot_is_noticed), UNIT_TEST(leftovers_are_removed),
	  UNIT_TEST(an_error_is_final_and_said), UNIT_TEST(no_store_has_everything_at_once))
