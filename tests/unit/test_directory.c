// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * test_directory.c - the directory's members, mappings, leases and caps; test_directory_moves.c has
 * the moves.
 */
#include "nva/reservations.h"
#include "tests/unit/directory_world.h"

#include <stdlib.h>
#include <unistd.h>

/* --- members --- */

static void welcomes_and_names_itself(void)
{
	WORLD(world);
	uint32_t nve = connect_as(world, "hv1", "192.0.2.1", 1);
	const struct nvo3_message *welcome = take(world, nve, NVO3_WELCOME);

	CU_ASSERT_STRING_EQUAL(welcome->name, "nva1");
	CU_ASSERT_EQUAL(welcome->incarnation, 7);
	CU_ASSERT_EQUAL(welcome->version, NVO3_VERSION);
	CU_ASSERT_TRUE(is_quiet(world));
}

static void a_subscriber_gets_the_members_and_a_snapshot(void)
{
	WORLD(world);
	uint32_t a = connect_as(world, "hv1", "192.0.2.1", 1),
		 b = connect_as(world, "hv2", "2001:db8::2", 1);
	const struct nvo3_message *message;

	(void) take(world, a, NVO3_WELCOME);
	(void) take(world, b, NVO3_WELCOME);
	subscribe(world, a, VNI);
	message = take(world, a, NVO3_MEMBERS);
	CU_ASSERT_EQUAL(message->vni, VNI);
	CU_ASSERT_EQUAL(message->member_count, 1);
	message = take(world, a, NVO3_UPDATE);
	CU_ASSERT_TRUE(message->snapshot && message->snapshot_end);
	CU_ASSERT_EQUAL(message->mapping_count, 0);
	CU_ASSERT_TRUE(is_quiet(world));

	own(world, a, mac1, MAPPING_VM);
	subscribe(world, b, VNI);
	message = take(world, b, NVO3_MEMBERS);
	CU_ASSERT_EQUAL_FATAL(message->member_count, 2);
	CU_ASSERT_EQUAL(ip_cmp(message->members[0], ip_of("192.0.2.1")), 0);
	CU_ASSERT_EQUAL(ip_cmp(message->members[1], ip_of("2001:db8::2")), 0);
	message = take(world, b, NVO3_UPDATE);
	CU_ASSERT_TRUE(message->snapshot && message->snapshot_end);
	CU_ASSERT_EQUAL_FATAL(message->mapping_count, 1);
	CU_ASSERT_EQUAL(message->mappings[0].ip_count, 2);
	message = take(world, a, NVO3_MEMBERS); /* the others learn of it, once */
	CU_ASSERT_EQUAL(message->member_count, 2);
	CU_ASSERT_TRUE(is_quiet(world));
}

static void a_large_snapshot_comes_in_batches(void)
{
	enum { COUNT = 2 * NVO3_BATCH_MAX + 1 };
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b;
	size_t total = 0;
	bool over = false;

	for (unsigned i = 0; i < COUNT; i++) {
		struct mac mac = { { 0x52, 0x54, 0x01, (uint8_t) (i >> 16), (uint8_t) (i >> 8),
				     (uint8_t) i } };

		send_mapping(world, a, NVO3_REGISTER, mapping_of(mac, MAPPING_VM));
	}
	deliver(world);
	forget(world);
	b = connect_as(world, "hv2", "2001:db8::2", 1);
	subscribe(world, b, VNI);
	(void) take(world, b, NVO3_WELCOME);
	(void) take(world, b, NVO3_MEMBERS);
	for (unsigned i = 0; !over; i++) {
		const struct nvo3_message *update = take(world, b, NVO3_UPDATE);

		CU_ASSERT_EQUAL(update->snapshot, i == 0);
		CU_ASSERT_TRUE(update->mapping_count <= NVO3_BATCH_MAX / 2);
		total += update->mapping_count;
		over = update->snapshot_end;
	}
	CU_ASSERT_EQUAL(total, COUNT);
}

static void what_arrives_together_is_told_together(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2");
	const struct nvo3_message *update;

	(void) is_quiet(world);
	forget(world);
	for (uint8_t i = 0; i < 100; i++)
		send_mapping(world, a, NVO3_REGISTER,
			     mapping_of((struct mac){ { 2, 0, 0, 0, 0, i } }, MAPPING_VM));
	update = take(world, b, NVO3_UPDATE);
	CU_ASSERT_EQUAL(update->mapping_count, 100);
	CU_ASSERT_FALSE(update->snapshot);
}

static void all_is_confirmed_when_each_nve_with_a_session_has(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2");

	ack(world, a);
	CU_ASSERT_FALSE(directory_is_confirmed(world->directory)); /* b's snapshot */
	ack(world, b);
	CU_ASSERT_TRUE(directory_is_confirmed(world->directory));

	own(world, a, mac1, MAPPING_VM);
	ack(world, b);
	CU_ASSERT_FALSE(directory_is_confirmed(world->directory));
	disconnect(world, a);
	CU_ASSERT_TRUE(directory_is_confirmed(world->directory));
}

static void gateways_are_told_first(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), g = 0;
	struct nvo3_message hello = hello_of("gw1", "192.0.2.9", 1);
	_cleanup_(directory_output_freep) struct directory_output *output = NULL;
	char text[NVO3_TEXT_MAX + 1];
	bool replaced;

	hello.role = NVO3_ROLE_GATEWAY;
	CU_ASSERT_EQUAL_FATAL(connect_result(world, &hello, &g, &replaced, text), 0);
	subscribe(world, g, VNI);
	send_mapping(world, a, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	do {
		output = directory_output_free(output);
		CU_ASSERT_EQUAL_FATAL(directory_next_output(world->directory, &output), 1);
	} while (output->message.kind != NVO3_UPDATE || output->message.snapshot);
	CU_ASSERT_EQUAL_FATAL(output->to_count, 2);
	CU_ASSERT_EQUAL(output->to[0], g);
	CU_ASSERT_EQUAL(output->to[1], a);
}

static void an_nve_outside_the_vni_is_told_nothing(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = connect_as(world, "hv2", "192.0.2.2", 1);
	const struct nvo3_message query = { .kind = NVO3_QUERY, .id = 5, .vni = VNI, .mac = mac1 };
	const struct nvo3_message *answer;

	subscribe(world, b, VNI + 1);
	deliver(world);
	forget(world);
	own(world, a, mac1, MAPPING_VM);
	CU_ASSERT_TRUE(is_quiet(world));
	send_from(world, b, &query);
	answer = take(world, b, NVO3_ANSWER);
	CU_ASSERT_EQUAL(answer->mapping_count, 0);
	CU_ASSERT_STRING_NOT_EQUAL(answer->text, "");
	send_mapping(world, b, NVO3_REGISTER,
		     mapping_of((struct mac){ { 2, 0, 0, 0, 0, 9 } }, MAPPING_VM));
	CU_ASSERT_FALSE(take(world, b, NVO3_REGISTERED)->granted);
	send_mapping(world, b, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_FALSE(take(world, b, NVO3_MOVE_GRANTED)->granted);
	send_endpoint(world, b, NVO3_COMMIT, mac1, 2);
	CU_ASSERT_FALSE(take(world, b, NVO3_COMMITTED)->granted);
}

/* --- identity --- */

static void a_name_or_vtep_belongs_to_one_nve(void)
{
	static const struct {
		const char *name, *vtep;
	} thieves[] = { { "hv1", "192.0.2.3" },
			{ "hv3", "192.0.2.1" },
			{ "hv1", "192.0.2.2" },
			{ "hv2", "192.0.2.1" } };
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), nve = 77;
	bool replaced;

	(void) join(world, "hv2", "192.0.2.2");
	for (unsigned connected = 2; connected-- > 0;) {
		for (size_t i = 0; i < ARRAY_SIZE(thieves); i++) {
			const struct nvo3_message hello =
				hello_of(thieves[i].name, thieves[i].vtep, 1);
			char text[NVO3_TEXT_MAX + 1] = "";

			CU_ASSERT_EQUAL(connect_result(world, &hello, &nve, &replaced, text),
					-EEXIST);
			CU_ASSERT_STRING_NOT_EQUAL(text, "");
			CU_ASSERT_EQUAL(nve, 77);
		}
		if (connected)
			disconnect(world, a); /* its lease protects it all the same */
	}
	pass(world, SECONDS(WORLD_LEASE_S));
	(void) connect_as(world, "hv1", "192.0.2.3", 1);
}

static void another_version_is_refused(void)
{
	WORLD(world);
	struct nvo3_message hello = hello_of("hv1", "192.0.2.1", 1);
	char text[NVO3_TEXT_MAX + 1] = "";
	bool replaced;
	uint32_t nve;

	hello.version = NVO3_VERSION + 1;
	CU_ASSERT_EQUAL(connect_result(world, &hello, &nve, &replaced, text), -EPROTO);
	CU_ASSERT_STRING_EQUAL(text, "version 2 is not spoken here, 1 is");
}

static void a_newer_session_replaces_the_older(void)
{
	for (uint64_t incarnation = 1; incarnation <= 2; incarnation++) {
		WORLD(world);
		uint32_t a = join(world, "hv1", "192.0.2.1"), again = 77;
		const struct nvo3_message hello = hello_of("hv1", "192.0.2.1", incarnation);
		char text[NVO3_TEXT_MAX + 1];
		bool replaced = false;

		own(world, a, mac1, MAPPING_VM);
		CU_ASSERT_EQUAL_FATAL(connect_result(world, &hello, &again, &replaced, text), 0);
		CU_ASSERT_TRUE(replaced);
		CU_ASSERT_EQUAL(again, a);
		(void) take(world, a, NVO3_WELCOME);
		subscribe(world, a, VNI);
		(void) take(world, a, NVO3_MEMBERS);
		CU_ASSERT_EQUAL(take(world, a, NVO3_UPDATE)->mapping_count, 1);
		CU_ASSERT_TRUE(is_quiet(world)); /* no membership changed */
	}
}

/* --- leases --- */

static void a_lost_session_keeps_its_place_for_the_lease(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");
	const struct nvo3_message *message;

	own(world, a, mac1, MAPPING_VM);
	disconnect(world, a);
	pass(world, SECONDS(WORLD_LEASE_S) - 1);
	CU_ASSERT_TRUE(is_quiet(world));
	pass(world, 1);
	message = take(world, b, NVO3_MEMBERS);
	CU_ASSERT_EQUAL(message->member_count, 1);
	message = take(world, b, NVO3_UPDATE);
	CU_ASSERT_EQUAL_FATAL(message->removed_count, 1);
	CU_ASSERT_EQUAL(mac_cmp(message->removed[0].mac, mac1), 0);
	CU_ASSERT_EQUAL(message->removed[0].generation, 1);
	CU_ASSERT_EQUAL(message->mapping_count, 0);
	CU_ASSERT_TRUE(is_quiet(world));
	CU_ASSERT_EQUAL(counter(world, "expired"), 1);
}

static void the_same_nve_resumes_within_its_lease(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");

	own(world, a, mac1, MAPPING_VM);
	disconnect(world, a);
	pass(world, SECONDS(WORLD_LEASE_S) - 1);
	CU_ASSERT_EQUAL(connect_as(world, "hv1", "192.0.2.1", 1), a);
	subscribe(world, a, VNI);
	deliver(world);
	forget(world);
	pass(world, SECONDS(WORLD_LEASE_S)); /* the same incarnation need not register again */
	CU_ASSERT_TRUE(is_quiet(world));
	(void) b;
}

static void what_a_restarted_nve_does_not_say_again_goes(void)
{
	const struct mac mac2 = { { 0x52, 0x54, 0, 0, 0, 2 } };
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");
	const struct nvo3_message *update;

	own(world, a, mac1, MAPPING_VM);
	own(world, a, mac2, MAPPING_VM);
	disconnect(world, a);
	(void) connect_as(world, "hv1", "192.0.2.1", 2);
	subscribe(world, a, VNI);
	own(world, a, mac2, MAPPING_VM);
	pass(world, SECONDS(WORLD_LEASE_S));
	update = take(world, b, NVO3_UPDATE);
	CU_ASSERT_EQUAL_FATAL(update->removed_count, 1);
	CU_ASSERT_EQUAL(mac_cmp(update->removed[0].mac, mac1), 0);
	CU_ASSERT_EQUAL(update->mapping_count, 0);
	(void) take(world, a, NVO3_UPDATE);
	CU_ASSERT_TRUE(is_quiet(world));
}

static void a_vni_that_is_not_subscribed_again_is_left(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");

	own(world, a, mac1, MAPPING_VM);
	disconnect(world, a);
	(void) connect_as(world, "hv1", "192.0.2.1", 1);
	(void) take(world, a, NVO3_WELCOME);
	pass(world, SECONDS(WORLD_LEASE_S));
	CU_ASSERT_EQUAL(take(world, b, NVO3_MEMBERS)->member_count, 1);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->removed_count, 1);
	CU_ASSERT_TRUE(is_quiet(world));
}

/* --- registrations --- */

static void registers_both_families_and_answers_by_each(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");
	const struct nvo3_message queries[] = {
		{ .kind = NVO3_QUERY, .id = 1, .vni = VNI, .mac = mac1 },
		{ .kind = NVO3_QUERY, .id = 2, .vni = VNI, .ip = ip_of("10.0.0.1") },
		{ .kind = NVO3_QUERY, .id = 3, .vni = VNI, .ip = ip_of("fd00::1") },
		{ .kind = NVO3_QUERY, .id = 4, .vni = VNI, .ip = ip_of("10.0.0.2") },
	};

	own(world, a, mac1, MAPPING_VM);
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		const struct nvo3_message *answer;

		send_from(world, b, &queries[i]);
		answer = take(world, b, NVO3_ANSWER);
		CU_ASSERT_EQUAL(answer->id, i + 1);
		CU_ASSERT_EQUAL_FATAL(answer->mapping_count, i < 3 ? 1 : 0);
		if (i == 3)
			continue;
		CU_ASSERT_EQUAL(ip_cmp(answer->mappings[0].vtep, ip_of("192.0.2.1")), 0);
		CU_ASSERT_EQUAL(answer->mappings[0].generation, 1);
		CU_ASSERT_EQUAL(uuid_cmp(answer->mappings[0].vm, vm1), 0);
	}
}

static const struct mac mac2 = { { 0x52, 0x54, 0, 0, 0, 2 } };
static const struct mac mac3 = { { 0x52, 0x54, 0, 0, 0, 3 } };

static struct ip reserved_for(struct world *world, uint32_t nve, struct mac mac, size_t mappings)
{
	const struct nvo3_message query = { .kind = NVO3_QUERY, .vni = VNI, .mac = mac };
	const struct nvo3_message *answer;

	deliver(world);
	forget(world);
	send_from(world, nve, &query);
	answer = take(world, nve, NVO3_ANSWER);
	CU_ASSERT_EQUAL(answer->mapping_count, mappings);
	return answer->ip;
}

/* Whoever asks, and wherever the MAC is, if anywhere. */
static void what_is_reserved_is_told(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2"),
		 outside = connect_as(world, "hv3", "192.0.2.3", 1);
	char path[] = "/tmp/rehome-directory-XXXXXX", message[RESERVATIONS_MESSAGE_SIZE];
	_cleanup_(reservations_freep) struct reservations *reservations = NULL;
	static const char text[] =
		"100 52:54:00:00:00:01 198.51.100.1\n101 52:54:00:00:00:02 198.51.100.2\n";
	int fd = mkstemp(path);

	CU_ASSERT_EQUAL_FATAL(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	CU_ASSERT_EQUAL_FATAL(reservations_open(path, &reservations, message), 0);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_TRUE(ip_is_none(reserved_for(world, a, mac1, 0)));

	directory_reserve(world->directory, reservations);
	CU_ASSERT_EQUAL(ip_cmp(reserved_for(world, a, mac1, 0), ip_of("198.51.100.1")), 0);
	CU_ASSERT_TRUE(ip_is_none(reserved_for(world, a, mac2, 0))); /* in another VNI */
	CU_ASSERT_TRUE(ip_is_none(reserved_for(world, outside, mac1, 0)));
	own(world, a, mac1, 0);
	CU_ASSERT_EQUAL(ip_cmp(reserved_for(world, b, mac1, 1), ip_of("198.51.100.1")), 0);
}

/* Who answers for @ip now. */
static struct mac holder_of(struct world *world, uint32_t nve, const char *ip)
{
	const struct nvo3_message query = { .kind = NVO3_QUERY, .vni = VNI, .ip = ip_of(ip) };
	const struct nvo3_message *answer;

	deliver(world);
	forget(world);
	send_from(world, nve, &query);
	answer = take(world, nve, NVO3_ANSWER);
	return answer->mapping_count > 0 ? answer->mappings[0].mac : (struct mac){ 0 };
}

static size_t count_notices(struct world *world, const char *part)
{
	char text[DIRECTORY_NOTICE_SIZE];
	size_t count = 0;

	while (directory_next_notice(world->directory, text))
		count += strstr(text, part) != NULL;
	return count;
}

static void an_address_claimed_twice_stays_with_the_first(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");

	own(world, a, mac1, MAPPING_VM);
	own(world, b, mac2, MAPPING_VM);
	own(world, b, mac3, MAPPING_VM);
	CU_ASSERT_EQUAL(mac_cmp(holder_of(world, b, "10.0.0.1"), mac1), 0);
	CU_ASSERT_EQUAL(mac_cmp(holder_of(world, a, "fd00::1"), mac1), 0);
	own(world, b, mac2, MAPPING_VM); /* said again: nothing changes */
	CU_ASSERT_EQUAL(mac_cmp(holder_of(world, b, "10.0.0.1"), mac1), 0);
	CU_ASSERT_EQUAL(counter(world, "conflicts"), 2); /* one for each address */
	CU_ASSERT_EQUAL(count_notices(world, "10.0.0.1 is claimed by 52:54:00:00:00:01 (NVE hv1), "
					     "which keeps it, and by 52:54:00:00:00:02 (NVE hv2)"),
			1);

	send_endpoint(world, a, NVO3_WITHDRAW, mac1, 1);
	CU_ASSERT_EQUAL(mac_cmp(holder_of(world, a, "10.0.0.1"), mac2), 0);
	CU_ASSERT_EQUAL(counter(world, "conflicts_resolved"), 0);
	CU_ASSERT_EQUAL(count_notices(world, "conflict"), 0);
	send_endpoint(world, b, NVO3_WITHDRAW, mac3, 1); /* one that waits */
	CU_ASSERT_EQUAL(mac_cmp(holder_of(world, a, "fd00::1"), mac2), 0);
	CU_ASSERT_EQUAL(counter(world, "conflicts_resolved"), 2);
	CU_ASSERT_EQUAL(count_notices(world, "has ended: only 52:54:00:00:00:02 (NVE hv2)"), 2);
	send_endpoint(world, b, NVO3_WITHDRAW, mac2, 1);
	CU_ASSERT_TRUE(mac_is_zero(holder_of(world, a, "10.0.0.1")));
}

static void a_conflict_ends_when_an_address_is_given_up(void)
{
	struct mapping fewer = mapping_of(mac1, MAPPING_VM);
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");

	fewer.ip_count = 1; /* without fd00::1 */
	own(world, a, mac1, MAPPING_VM);
	own(world, a, mac2, MAPPING_VM);
	send_mapping(world, a, NVO3_REGISTER, fewer);
	CU_ASSERT_EQUAL(mac_cmp(holder_of(world, a, "fd00::1"), mac2), 0);
	CU_ASSERT_EQUAL(mac_cmp(holder_of(world, a, "10.0.0.1"), mac1), 0);
	CU_ASSERT_EQUAL(counter(world, "conflicts_resolved"), 1);
	own(world, a, mac1, MAPPING_VM); /* has it again, and is the later claim now */
	CU_ASSERT_EQUAL(mac_cmp(holder_of(world, a, "fd00::1"), mac2), 0);
	CU_ASSERT_EQUAL(counter(world, "conflicts"), 3);
}

static void a_status_shows_who_is_in_conflict(void)
{
	_cleanup_(json_unrefp) struct json_object *status = NULL;
	const char *text;
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");

	own(world, a, mac1, MAPPING_VM);
	own(world, b, mac2, MAPPING_VM);
	CU_ASSERT_EQUAL_FATAL(directory_status(world->directory, world->now_us, &status), 0);
	text = json_object_to_json_string_ext(status, JSON_C_TO_STRING_PLAIN);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"conflicts_open\":2"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, "{\"vni\":100,\"ip\":\"fd00::1\",\"claim_count\":2,\"claims\":["
			     "{\"mac\":\"52:54:00:00:00:01\",\"nve\":\"hv1\"},"
			     "{\"mac\":\"52:54:00:00:00:02\",\"nve\":\"hv2\"}]}"));
}

/* More than an entry has room for, of both families, and back. */
static void an_endpoint_may_have_many_addresses(void)
{
	struct mapping many = mapping_of(mac1, MAPPING_VM);
	_cleanup_(world_freep) struct world *world =
		world_with((struct directory_limits){ .mapping_addresses = MAPPING_IPS_MAX });
	uint32_t a = join(world, "hv1", "192.0.2.1");
	char text[IP_TEXT_SIZE];
	const struct nvo3_message *update;

	for (unsigned i = 0; i < MAPPING_IPS_MAX; i++) {
		(void) snprintf(text, sizeof(text), i % 2 ? "fd00::%u" : "10.0.0.%u", i + 1);
		many.ips[i] = ip_of(text);
	}
	many.ip_count = MAPPING_IPS_MAX;
	send_mapping(world, a, NVO3_REGISTER, many);
	(void) take(world, a, NVO3_REGISTERED);
	update = take(world, a, NVO3_UPDATE);
	CU_ASSERT_EQUAL_FATAL(update->mappings[0].ip_count, MAPPING_IPS_MAX);
	for (unsigned i = 0; i < MAPPING_IPS_MAX; i++)
		CU_ASSERT_EQUAL(ip_cmp(update->mappings[0].ips[i], many.ips[i]), 0);
	for (unsigned i = 0; i < MAPPING_IPS_MAX; i++)
		CU_ASSERT_EQUAL(mac_cmp(holder_of(world, a, ip_text(many.ips[i], text)), mac1), 0);
	own(world, a, mac1, MAPPING_VM); /* 10.0.0.1 and fd00::1 again */
	CU_ASSERT_EQUAL(mac_cmp(holder_of(world, a, "10.0.0.1"), mac1), 0);
	CU_ASSERT_EQUAL(mac_cmp(holder_of(world, a, "fd00::1"), mac1), 0);
	CU_ASSERT_TRUE(mac_is_zero(holder_of(world, a, "fd00::2")));
	CU_ASSERT_TRUE(mac_is_zero(holder_of(world, a, "10.0.0.3")));
}

/* --- batches --- */

static void send_batch(struct world *world, uint32_t nve, struct mapping *mappings, size_t count)
{
	const struct nvo3_message message = {
		.kind = NVO3_REGISTER_BATCH,
		.id = ++world->last_id,
		.mappings = mappings,
		.mapping_count = count,
	};

	send_from(world, nve, &message);
}

static void a_batch_is_judged_mapping_by_mapping(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "2001:db8::2");
	struct mapping batch[] = {
		mapping_of(mac1, MAPPING_VM), mapping_of(mac2, MAPPING_VM),
		mapping_of(mac3, MAPPING_VM), mapping_of(mac3, MAPPING_VM),
		mapping_of(mac3, MAPPING_VM),
	};
	const struct nvo3_message *reply;

	own(world, b, mac2, MAPPING_VM);
	batch[2].generation = 7; /* it remembers */
	batch[3].vni = VNI + 1;	 /* not subscribed */
	batch[4].ip_count = 1;	 /* the same again, with less */
	send_batch(world, a, batch, ARRAY_SIZE(batch));
	reply = take(world, a, NVO3_BATCH_REGISTERED);
	CU_ASSERT_EQUAL(reply->id, world->last_id);
	CU_ASSERT_EQUAL_FATAL(reply->generation_count, 5);
	CU_ASSERT_EQUAL(reply->generations[0], 1);
	CU_ASSERT_EQUAL(reply->generations[1], 0);
	CU_ASSERT_EQUAL(reply->generations[2], 7);
	CU_ASSERT_EQUAL(reply->generations[3], 0);
	CU_ASSERT_EQUAL(reply->generations[4], 7);
	CU_ASSERT_EQUAL_FATAL(reply->refusal_count, 2);
	CU_ASSERT_EQUAL(reply->refusals[0].index, 1);
	CU_ASSERT_STRING_EQUAL(reply->refusals[0].text,
			       "52:54:00:00:00:02 in VNI 100 belongs to NVE hv2 (2001:db8::2): it "
			       "must withdraw it or consent to a move");
	CU_ASSERT_EQUAL(reply->refusals[1].index, 3);
	CU_ASSERT_STRING_EQUAL(reply->refusals[1].text, "this NVE has not subscribed to VNI 101");
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->mapping_count, 2);
	CU_ASSERT_EQUAL(counter(world, "refused"), 2);
}

static void saying_the_same_again_tells_nobody(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	struct mapping mapping = mapping_of(mac1, MAPPING_VM);
	const struct nvo3_message *message;

	own(world, a, mac1, MAPPING_VM);
	mapping.ips[0] = ip_of("fd00::1"); /* the same two, the other way round */
	mapping.ips[1] = ip_of("10.0.0.1");
	send_mapping(world, a, NVO3_REGISTER, mapping);
	message = take(world, a, NVO3_REGISTERED);
	CU_ASSERT_TRUE(message->granted);
	CU_ASSERT_EQUAL(message->generation, 1);
	CU_ASSERT_TRUE(is_quiet(world));

	mapping.ips[1] = ip_of("10.0.0.3");
	send_mapping(world, a, NVO3_REGISTER, mapping);
	CU_ASSERT_EQUAL(take(world, a, NVO3_REGISTERED)->generation, 1);
	message = take(world, a, NVO3_UPDATE);
	CU_ASSERT_EQUAL_FATAL(message->mapping_count, 1);
	CU_ASSERT_EQUAL(ip_cmp(message->mappings[0].ips[1], ip_of("10.0.0.3")), 0);

	mapping.ip_count = 0;
	send_mapping(world, a, NVO3_REGISTER, mapping);
	(void) take(world, a, NVO3_REGISTERED);
	CU_ASSERT_EQUAL(take(world, a, NVO3_UPDATE)->mappings[0].ip_count, 0);
}

static void the_refusal_names_the_owner(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "2001:db8::1"), b = join(world, "hv2", "2001:db8::2");
	const struct nvo3_message *message;

	own(world, a, mac1, MAPPING_VM);
	send_mapping(world, b, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	message = take(world, b, NVO3_REGISTERED);
	CU_ASSERT_FALSE(message->granted);
	CU_ASSERT_STRING_EQUAL(message->text,
			       "52:54:00:00:00:01 in VNI 100 belongs to NVE hv1 (2001:db8::1): "
			       "it must withdraw it or consent to a move");
	CU_ASSERT_TRUE(is_quiet(world));
	CU_ASSERT_EQUAL(counter(world, "refused"), 1);
}

/* Owner's flags and the other's: who has it then? A tie between VMs keeps the present owner. */
static void only_a_learned_endpoint_is_taken_over(void)
{
	static const struct {
		uint32_t present, claimed;
		bool taken;
	} cases[] = {
		{ MAPPING_LEARNED, MAPPING_LEARNED, true },
		{ MAPPING_LEARNED, MAPPING_VM, true },
		{ MAPPING_LEARNED, 0, true },
		{ MAPPING_VM, MAPPING_LEARNED, false },
		{ MAPPING_VM, MAPPING_VM, false },
		{ MAPPING_VM | MAPPING_LEARNED, MAPPING_LEARNED, false },
		{ 0, MAPPING_LEARNED, false },
		{ 0, MAPPING_VM, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		WORLD(world);
		uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2");
		const struct nvo3_message *message;

		own(world, a, mac1, cases[i].present);
		send_mapping(world, b, NVO3_REGISTER, mapping_of(mac1, cases[i].claimed));
		message = take(world, b, NVO3_REGISTERED);
		CU_ASSERT_EQUAL(message->granted, cases[i].taken);
		CU_ASSERT_EQUAL(message->generation, cases[i].taken ? 2 : 0);
		if (cases[i].taken)
			CU_ASSERT_EQUAL(ip_cmp(take(world, a, NVO3_UPDATE)->mappings[0].vtep,
					       ip_of("192.0.2.2")),
					0);
	}
}

static void a_takeover_keeps_the_addresses_of_the_same_vm(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2");
	struct mapping bare = mapping_of(mac1, MAPPING_VM);

	own(world, a, mac1, MAPPING_LEARNED);
	bare.ip_count = 0;
	send_mapping(world, b, NVO3_REGISTER, bare);
	(void) take(world, b, NVO3_REGISTERED);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->mappings[0].ip_count, 2);
}

static void a_withdrawn_generation_is_remembered(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2");
	const struct nvo3_message *message;

	own(world, a, mac1, MAPPING_VM);
	send_endpoint(world, b, NVO3_WITHDRAW, mac1, 1); /* not its own */
	send_endpoint(world, a, NVO3_WITHDRAW, mac1, 2); /* not the present one */
	CU_ASSERT_TRUE(is_quiet(world));
	send_endpoint(world, a, NVO3_WITHDRAW, mac1, 1);
	CU_ASSERT_EQUAL(take(world, b, NVO3_UPDATE)->removed_count, 1);
	send_endpoint(world, a, NVO3_WITHDRAW, mac1, 1); /* again */
	send_mapping(world, b, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	message = take(world, b, NVO3_REGISTERED);
	CU_ASSERT_TRUE(message->granted);
	CU_ASSERT_EQUAL(message->generation, 2);
	send_endpoint(world, b, NVO3_WITHDRAW, mac1, 0); /* "whatever it is" */
	pass(world, SECONDS(DIRECTORY_TOMBSTONE_AGE_S));
	send_mapping(world, a, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	forget(world);
	deliver(world);
	CU_ASSERT_EQUAL(counter(world, "withdrawn"), 2);
}

static void an_old_tombstone_is_forgotten(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");

	own(world, a, mac1, MAPPING_VM);
	send_endpoint(world, a, NVO3_WITHDRAW, mac1, 0);
	deliver(world);
	forget(world);
	pass(world, SECONDS(DIRECTORY_TOMBSTONE_AGE_S));
	send_mapping(world, a, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_EQUAL(take(world, a, NVO3_REGISTERED)->generation, 1);
}

static void removed_and_back_is_told_in_that_order(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2");
	const struct nvo3_message *update;

	own(world, a, mac1, MAPPING_VM);
	send_endpoint(world, a, NVO3_WITHDRAW, mac1, 1);
	send_mapping(world, a, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	update = take(world, b, NVO3_UPDATE);
	CU_ASSERT_EQUAL_FATAL(update->removed_count, 1);
	CU_ASSERT_EQUAL_FATAL(update->mapping_count, 1);
	CU_ASSERT_EQUAL(update->removed[0].generation, 1);
	CU_ASSERT_EQUAL(update->mappings[0].generation, 2);
}

static void an_nva_that_forgot_goes_on_from_the_claim(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	struct mapping mapping = mapping_of(mac1, MAPPING_VM);

	mapping.generation = 7;
	send_mapping(world, a, NVO3_REGISTER, mapping);
	CU_ASSERT_EQUAL(take(world, a, NVO3_REGISTERED)->generation, 7);
	mapping.generation = 3;
	send_mapping(world, a, NVO3_REGISTER, mapping);
	(void) take(world, a, NVO3_UPDATE);
	CU_ASSERT_EQUAL(take(world, a, NVO3_REGISTERED)->generation, 7);
	mapping.generation = DIRECTORY_CLAIM_MAX + 1;
	send_mapping(world, a, NVO3_REGISTER, mapping);
	CU_ASSERT_FALSE(take(world, a, NVO3_REGISTERED)->granted);
}

static void a_mapping_names_its_senders_vtep_or_none(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	struct mapping mapping = mapping_of(mac1, MAPPING_VM);

	mapping.vtep = ip_of("192.0.2.2");
	send_mapping(world, a, NVO3_REGISTER, mapping);
	CU_ASSERT_FALSE(take(world, a, NVO3_REGISTERED)->granted);
	send_mapping(world, a, NVO3_MOVE_INTENT, mapping);
	CU_ASSERT_FALSE(take(world, a, NVO3_MOVE_GRANTED)->granted);
	mapping.vtep = ip_of("192.0.2.1");
	send_mapping(world, a, NVO3_REGISTER, mapping);
	CU_ASSERT_TRUE(take(world, a, NVO3_REGISTERED)->granted);
}

/* --- what an NVE must not send --- */

static void refuses_what_only_an_nva_says(void)
{
	static const bool allowed[NVO3_KIND_COUNT] = {
		[NVO3_SUBSCRIBE] = true,      [NVO3_REGISTER] = true,
		[NVO3_WITHDRAW] = true,	      [NVO3_MOVE_INTENT] = true,
		[NVO3_CONSENTED] = true,      [NVO3_COMMIT] = true,
		[NVO3_ABORT] = true,	      [NVO3_ACK] = true,
		[NVO3_QUERY] = true,	      [NVO3_STATUS] = true,
		[NVO3_REGISTER_BATCH] = true, [NVO3_FLOWS] = true,
		[NVO3_DROP] = true,	      [NVO3_DIGEST] = true,
		[NVO3_CONVERGED] = true,
	};
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	const struct nvo3_message ahead = { .kind = NVO3_ACK, .revision = world->told[a] + 1 };

	for (unsigned kind = 0; kind < NVO3_KIND_COUNT; kind++) {
		const struct nvo3_message message = { .kind = (enum nvo3_kind) kind };

		if (!allowed[kind])
			CU_ASSERT_EQUAL(send_result(world, a, &message), -EPROTO);
	}
	CU_ASSERT_EQUAL(send_result(world, a, &ahead), -EPROTO);
}

/* --- caps --- */

static struct mac nth_mac(unsigned i)
{
	return (struct mac){ { 0x52, 0x54, 0x01, (uint8_t) (i >> 16), (uint8_t) (i >> 8),
			       (uint8_t) i } };
}

enum { FEW = 100 };

static void caps_the_mappings_of_a_vni(void)
{
	_cleanup_(world_freep) struct world *world =
		world_with((struct directory_limits){ .vni_mappings = FEW });
	uint32_t a = join(world, "hv1", "192.0.2.1");
	const struct nvo3_message *message;

	for (unsigned i = 0; i < FEW; i++)
		own(world, a, nth_mac(i), MAPPING_VM);
	CU_ASSERT_EQUAL(counter(world, "refused"), 0);
	send_mapping(world, a, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	message = take(world, a, NVO3_REGISTERED);
	CU_ASSERT_FALSE(message->granted);
	CU_ASSERT_STRING_EQUAL(message->text,
			       "VNI 100: the NVA has no room for more than 100 mappings");
	send_mapping(world, a, NVO3_MOVE_INTENT, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_TRUE(take(world, a, NVO3_MOVE_GRANTED)->granted);
	send_endpoint(world, a, NVO3_COMMIT, mac1, 1);
	CU_ASSERT_FALSE(take(world, a, NVO3_COMMITTED)->granted);
	CU_ASSERT_TRUE(is_quiet(world));

	send_endpoint(world, a, NVO3_WITHDRAW, nth_mac(5), 1);
	(void) take(world, a, NVO3_UPDATE);
	send_mapping(world, a, NVO3_REGISTER, mapping_of(mac1, MAPPING_VM));
	CU_ASSERT_TRUE(take(world, a, NVO3_REGISTERED)->granted);
}

static void caps_the_mappings_of_an_nve(void)
{
	_cleanup_(world_freep) struct world *world =
		world_with((struct directory_limits){ .nve_mappings = FEW });
	uint32_t a = join(world, "hv1", "192.0.2.1"), b = join(world, "hv2", "192.0.2.2");
	const struct nvo3_message *message;

	for (unsigned i = 0; i < FEW; i++)
		own(world, a, nth_mac(i), MAPPING_LEARNED);
	own(world, a, nth_mac(3), MAPPING_LEARNED); /* one it has */
	CU_ASSERT_EQUAL(counter(world, "refused"), 0);
	own(world, b, mac1, MAPPING_LEARNED); /* another NVE has its own */
	send_mapping(world, a, NVO3_REGISTER, mapping_of(mac1, MAPPING_LEARNED));
	message = take(world, a, NVO3_REGISTERED);
	CU_ASSERT_FALSE(message->granted);
	CU_ASSERT_STRING_EQUAL(message->text,
			       "the NVA has no room for more than 100 mappings of one NVE");
	own(world, b, nth_mac(7), MAPPING_LEARNED); /* leaves room at the first */
	own(world, a, mac1, MAPPING_LEARNED);
	CU_ASSERT_EQUAL(counter(world, "refused"), 1);
}

static void caps_the_addresses_of_a_mac(void)
{
	_cleanup_(world_freep) struct world *world =
		world_with((struct directory_limits){ .mapping_addresses = 1 });
	uint32_t a = join(world, "hv1", "192.0.2.1");
	struct mapping mapping = mapping_of(mac1, MAPPING_VM);
	const struct nvo3_message *message;

	send_mapping(world, a, NVO3_REGISTER, mapping);
	message = take(world, a, NVO3_REGISTERED);
	CU_ASSERT_FALSE(message->granted);
	CU_ASSERT_STRING_EQUAL(message->text, "the NVA keeps at most 1 addresses of a MAC");
	mapping.ip_count = 1;
	send_mapping(world, a, NVO3_REGISTER, mapping);
	CU_ASSERT_TRUE(take(world, a, NVO3_REGISTERED)->granted);
}

static void takes_sixteen_addresses_unless_told(void)
{
	struct mapping many = mapping_of(mac1, MAPPING_VM);
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");

	for (unsigned i = 0; i < MAPPING_IPS_MAX; i++)
		many.ips[i] = (struct ip){ AF_INET, { 10, 0, 1, (uint8_t) (i + 1) } };
	many.ip_count = MAPPING_IPS_DEFAULT + 1;
	send_mapping(world, a, NVO3_REGISTER, many);
	CU_ASSERT_STRING_EQUAL(take(world, a, NVO3_REGISTERED)->text,
			       "the NVA keeps at most 16 addresses of a MAC");
	many.ip_count = MAPPING_IPS_DEFAULT;
	send_mapping(world, a, NVO3_REGISTER, many);
	CU_ASSERT_TRUE(take(world, a, NVO3_REGISTERED)->granted);
}

static void caps_the_tombstones(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");

	for (unsigned i = 0; i <= DIRECTORY_TOMBSTONES_MAX; i++) {
		send_mapping(world, a, NVO3_REGISTER, mapping_of(nth_mac(i), MAPPING_VM));
		send_endpoint(world, a, NVO3_WITHDRAW, nth_mac(i), 0);
		if (i % 4096 == 0) {
			deliver(world);
			forget(world);
		}
	}
	deliver(world);
	forget(world);
	send_mapping(world, a, NVO3_REGISTER, mapping_of(nth_mac(0), MAPPING_VM));
	CU_ASSERT_EQUAL(take(world, a, NVO3_REGISTERED)->generation, 1); /* the oldest made room */
	send_mapping(world, a, NVO3_REGISTER, mapping_of(nth_mac(1), MAPPING_VM));
	(void) take(world, a, NVO3_UPDATE);
	CU_ASSERT_EQUAL(take(world, a, NVO3_REGISTERED)->generation, 2);
}

static void caps_the_vnis(void)
{
	WORLD(world);
	uint32_t a = connect_as(world, "hv1", "192.0.2.1", 1);
	const struct nvo3_message *message;

	for (uint32_t vni = 1; vni <= DIRECTORY_VNIS_MAX; vni++)
		subscribe(world, a, vni);
	deliver(world);
	forget(world);
	subscribe(world, a, VNI_MAX);
	message = take(world, a, NVO3_MEMBERS);
	CU_ASSERT_EQUAL(message->vni, VNI_MAX);
	CU_ASSERT_EQUAL(message->member_count, 0);
	CU_ASSERT_STRING_NOT_EQUAL(message->text, "");
	CU_ASSERT_TRUE(is_quiet(world));
	subscribe(world, a, 1); /* what is there is not refused */
	CU_ASSERT_EQUAL(take(world, a, NVO3_MEMBERS)->member_count, 1);

	disconnect(world, a);
	pass(world, SECONDS(WORLD_LEASE_S));
	deliver(world);
	a = connect_as(world, "hv1", "192.0.2.1", 1);
	forget(world);
	(void) take(world, a, NVO3_WELCOME);
	subscribe(world, a, VNI_MAX); /* unused VNIs have made room */
	CU_ASSERT_EQUAL(take(world, a, NVO3_MEMBERS)->member_count, 1);
}

static void caps_the_nves(void)
{
	WORLD(world);
	char name[32], vtep[32], text[NVO3_TEXT_MAX + 1];
	struct nvo3_message hello;
	uint32_t nve = 0;
	bool replaced;

	for (unsigned i = 0; i < DIRECTORY_NVES_MAX; i++) {
		(void) snprintf(name, sizeof(name), "hv%u", i);
		(void) snprintf(vtep, sizeof(vtep), "10.1.%u.%u", i / 200, i % 200 + 1);
		(void) connect_as(world, name, vtep, 1);
	}
	hello = hello_of("one-more", "192.0.2.1", 1);
	CU_ASSERT_EQUAL(connect_result(world, &hello, &nve, &replaced, text), -ENOSPC);
	disconnect(world, 17);
	pass(world, SECONDS(WORLD_LEASE_S));
	CU_ASSERT_EQUAL(connect_result(world, &hello, &nve, &replaced, text), 0);
	CU_ASSERT_EQUAL(nve, 17);
}

static void a_status_too_long_for_a_message_says_so(void)
{
	WORLD(world);
	const struct nvo3_message request = { .kind = NVO3_STATUS };
	const struct nvo3_message *reply;
	struct nvo3_message hello;
	char name[NVO3_NAME_MAX + 1], vtep[IP_TEXT_SIZE], text[NVO3_TEXT_MAX + 1];
	_cleanup_free_ uint8_t *frame = NULL;
	uint32_t nve = 0;
	bool replaced;
	size_t size;

	for (unsigned i = 0; i < DIRECTORY_NVES_MAX; i++) {
		(void) snprintf(name, sizeof(name), "a-very-long-name-in-a-very-deep-domain.%025u",
				i);
		(void) snprintf(vtep, sizeof(vtep), "2001:db8:1111:2222:3333:4444:%x:ffff", i + 1);
		hello = hello_of(name, vtep, 1);
		hello.role = NVO3_ROLE_GATEWAY;
		CU_ASSERT_EQUAL_FATAL(connect_result(world, &hello, &nve, &replaced, text), 0);
		for (uint32_t vni = VNI_MAX; i < 4 && vni > VNI_MAX - DIRECTORY_VNIS_MAX; vni--)
			subscribe(world, nve, vni);
		deliver(world);
		forget(world);
	}
	send_from(world, 0, &request);
	reply = take(world, 0, NVO3_STATUS_REPLY);
	CU_ASSERT_PTR_NOT_NULL(strstr(reply->json, "too long"));
	CU_ASSERT_EQUAL(nvo3_pack(reply, &frame, &size), 0);
}

/* --- JSON --- */

static void the_status_tells_all(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	const struct nvo3_message request = { .kind = NVO3_STATUS, .id = 9 };
	const struct nvo3_message *reply;

	(void) join(world, "hv2", "2001:db8::2");
	own(world, a, mac1, MAPPING_VM);
	disconnect(world, 1);
	ack(world, a);
	pass(world, SECONDS(5));
	send_from(world, a, &request);
	reply = take(world, a, NVO3_STATUS_REPLY);
	CU_ASSERT_EQUAL(reply->id, 9);
	CU_ASSERT_STRING_EQUAL(
		reply->json,
		"{\"name\":\"nva1\",\"incarnation\":7,\"uptime_s\":5,\"revision\":3,\"nves\":["
		"{\"name\":\"hv1\",\"vtep\":\"192.0.2.1\",\"role\":\"nve\","
		"\"connected\":true,\"stale\":false,\"acked_revision\":3,"
		"\"vni_count\":1,\"mappings\":1,\"interests\":0,\"vnis\":[100]},"
		"{\"name\":\"hv2\",\"vtep\":\"2001:db8::2\",\"role\":\"nve\","
		"\"connected\":false,\"stale\":false,\"acked_revision\":0,"
		"\"vni_count\":1,\"mappings\":0,\"interests\":0,\"vnis\":[100]}],"
		"\"vnis\":[{\"vni\":100,\"members\":2,\"mappings\":1}],\"moves\":[],"
		"\"moves_pending\":0,"
		"\"moves_converging\":0,\"conflicts\":[],\"conflicts_open\":0,"
		"\"counters\":{\"registered\":1,\"refused\":"
		"0,\"withdrawn\":0,\"expired\":0,"
		"\"intents\":0,\"moves_granted\":0,\"moves_refused\":0,\"moves_"
		"committed\":0,\"commits_refused\":0,"
		"\"moves_aborted\":0,\"converged\":0,\"not_converged\":0,"
		"\"updates\":4,\"snapshots\":2,\"queries\":0,"
		"\"answered\":0,\"flows\":0,\"flows_dropped\":0,"
		"\"conflicts\":0,\"conflicts_resolved\":0,\"resyncs\":0,\"reassigned\":0,"
		"\"interests_refused\":0}"
		"}");
}

static void lists_the_mappings(void)
{
	WORLD(world);
	uint32_t a = join(world, "hv1", "192.0.2.1");
	struct json_object *mappings = NULL;

	own(world, a, mac1, MAPPING_VM);
	CU_ASSERT_EQUAL_FATAL(directory_mappings(world->directory, VNI, &mappings), 0);
	CU_ASSERT_STRING_EQUAL(
		json_object_to_json_string_ext(mappings, JSON_C_TO_STRING_PLAIN),
		"[{\"vni\":100,\"mac\":\"52:54:00:00:00:01\",\"ips\":[\"10.0.0.1\",\"fd00::1\"],"
		"\"nve\":\"hv1\",\"vtep\":\"192.0.2.1\",\"generation\":1,"
		"\"vm\":\"01000000-0000-0000-0000-000000000000\",\"flags\":[\"vm\"]}]");
	json_object_put(mappings);
	CU_ASSERT_EQUAL_FATAL(directory_mappings(world->directory, VNI + 1, &mappings), 0);
	CU_ASSERT_EQUAL(json_object_array_length(mappings), 0);
	json_object_put(mappings);
	CU_ASSERT_EQUAL_FATAL(directory_mappings(world->directory, 0, &mappings), 0);
	CU_ASSERT_EQUAL(json_object_array_length(mappings), 1);
	json_object_put(mappings);
}

UNIT_MAIN("directory", UNIT_TEST(welcomes_and_names_itself),
	  UNIT_TEST(a_subscriber_gets_the_members_and_a_snapshot),
	  UNIT_TEST(a_large_snapshot_comes_in_batches),
	  UNIT_TEST(what_arrives_together_is_told_together),
	  UNIT_TEST(all_is_confirmed_when_each_nve_with_a_session_has),
	  UNIT_TEST(gateways_are_told_first), UNIT_TEST(an_nve_outside_the_vni_is_told_nothing),
	  UNIT_TEST(a_name_or_vtep_belongs_to_one_nve), UNIT_TEST(another_version_is_refused),
	  UNIT_TEST(a_newer_session_replaces_the_older),
	  UNIT_TEST(a_lost_session_keeps_its_place_for_the_lease),
	  UNIT_TEST(the_same_nve_resumes_within_its_lease),
	  UNIT_TEST(what_a_restarted_nve_does_not_say_again_goes),
	  UNIT_TEST(a_vni_that_is_not_subscribed_again_is_left),
	  UNIT_TEST(registers_both_families_and_answers_by_each),
	  UNIT_TEST(what_is_reserved_is_told),
	  UNIT_TEST(an_address_claimed_twice_stays_with_the_first),
	  UNIT_TEST(a_conflict_ends_when_an_address_is_given_up),
	  UNIT_TEST(a_status_shows_who_is_in_conflict),
	  UNIT_TEST(an_endpoint_may_have_many_addresses),
	  UNIT_TEST(a_batch_is_judged_mapping_by_mapping),
	  UNIT_TEST(saying_the_same_again_tells_nobody), UNIT_TEST(the_refusal_names_the_owner),
	  UNIT_TEST(only_a_learned_endpoint_is_taken_over),
	  UNIT_TEST(a_takeover_keeps_the_addresses_of_the_same_vm),
	  UNIT_TEST(a_withdrawn_generation_is_remembered), UNIT_TEST(an_old_tombstone_is_forgotten),
	  UNIT_TEST(removed_and_back_is_told_in_that_order),
	  UNIT_TEST(an_nva_that_forgot_goes_on_from_the_claim),
	  UNIT_TEST(a_mapping_names_its_senders_vtep_or_none),
	  UNIT_TEST(refuses_what_only_an_nva_says), UNIT_TEST(caps_the_mappings_of_a_vni),
	  UNIT_TEST(caps_the_mappings_of_an_nve), UNIT_TEST(caps_the_addresses_of_a_mac),
	  UNIT_TEST(takes_sixteen_addresses_unless_told),

	  UNIT_TEST(caps_the_tombstones), UNIT_TEST(caps_the_vnis), UNIT_TEST(caps_the_nves),
	  UNIT_TEST(a_status_too_long_for_a_message_says_so), UNIT_TEST(the_status_tells_all),
	  UNIT_TEST(lists_the_mappings))
