/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "nveagent/vn.h"
#include "tests/unit/unit.h"

enum { VNI = 100, BRIDGE = 5, VXLAN = 7, TAP = 9, FORWARD = 11, ROOM = 64 };

static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };
static const struct mac other = { { 0x52, 0x54, 0, 0xaa, 0, 0x11 } };

static struct ip ip(const char *text)
{
	struct ip ip = { 0 };

	CU_ASSERT_EQUAL_FATAL(ip_from_text(text, &ip), 0);
	return ip;
}

static struct vn *new_vn(void)
{
	struct vn *vn = NULL;

	CU_ASSERT_EQUAL_FATAL(
		vn_new(VNI, ip("192.0.2.1"), (struct vn_devices){ VXLAN, BRIDGE }, &vn), 0);
	return vn;
}

static struct mapping mapping(struct mac mac, const char *vtep, uint64_t generation)
{
	return (struct mapping){
		.vni = VNI, .mac = mac, .vtep = ip(vtep), .generation = generation
	};
}

static struct mapping found(const struct vn *vn, struct mac mac)
{
	struct mapping found = { 0 };

	CU_ASSERT_TRUE(vn_find(vn, mac, &found));
	return found;
}

static void update(struct vn *vn, struct mac mac, const char *vtep, uint64_t generation)
{
	struct mapping one = mapping(mac, vtep, generation);
	struct nvo3_message message = { .kind = NVO3_UPDATE, .mappings = &one, .mapping_count = 1 };

	CU_ASSERT_EQUAL(vn_update(vn, &message, NULL, NULL), 0);
}

static void withdraw(struct vn *vn, struct mac mac, uint64_t generation)
{
	struct mapping one = { .vni = VNI, .mac = mac, .generation = generation };
	struct nvo3_message message = { .kind = NVO3_UPDATE, .removed = &one, .removed_count = 1 };

	CU_ASSERT_EQUAL(vn_update(vn, &message, NULL, NULL), 0);
}

/*
 * Asserts that exactly these changes come out, in order: each as LAYER, OP, ifindex, VTEP or
 * NULL.
 */
struct expected {
	enum fdb_layer layer;
	enum fdb_op op;
	uint32_t ifindex;
	const char *vtep;
};

static void expect(struct vn *vn, const struct expected *expected, int count)
{
	struct fdb_change changes[ROOM];

	CU_ASSERT_EQUAL_FATAL(vn_collect(vn, changes, ROOM), (size_t) count);
	for (int i = 0; i < count; i++) {
		struct ip vtep = expected[i].vtep ? ip(expected[i].vtep) : (struct ip) { 0 };

		CU_ASSERT_EQUAL(changes[i].entry.layer, expected[i].layer);
		CU_ASSERT_EQUAL(changes[i].op, expected[i].op);
		CU_ASSERT_EQUAL(changes[i].entry.ifindex, expected[i].ifindex);
		CU_ASSERT_EQUAL(ip_cmp(changes[i].entry.vtep, vtep), 0);
	}
}

#define EXPECT(vn, ...)                                                           \
	expect(vn, (const struct expected[]) { __VA_ARGS__ },                     \
	       sizeof((const struct expected[]) { __VA_ARGS__ }) / sizeof(struct expected))

static void expect_none(struct vn *vn)
{
	expect(vn, NULL, 0);
}

static void a_remote_mac_gets_both_layers(void)
{
	static const char *const vteps[] = { "192.0.2.2", "2001:db8::2" };

	for (size_t i = 0; i < ARRAY_SIZE(vteps); i++) {
		_cleanup_(vn_freep) struct vn *vn = new_vn();

		update(vn, vm, vteps[i], 1);
		EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_REPLACE, VXLAN, vteps[i] },
		       { FDB_LAYER_BRIDGE, FDB_OP_REPLACE, VXLAN, NULL });
		expect_none(vn);
		withdraw(vn, vm, 1);
		EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_DELETE, VXLAN, NULL },
		       { FDB_LAYER_VXLAN, FDB_OP_DELETE, VXLAN, vteps[i] });
		expect_none(vn);
	}
}

static void a_mac_that_moved_is_one_replace(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	update(vn, vm, "192.0.2.2", 1);
	CU_ASSERT_EQUAL(vn_collect(vn, changes, ROOM), 2);
	update(vn, vm, "192.0.2.3", 2);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_REPLACE, VXLAN, "192.0.2.3" });
}

static void an_older_generation_changes_nothing(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	update(vn, vm, "192.0.2.2", 5);
	CU_ASSERT_EQUAL(vn_collect(vn, changes, ROOM), 2);
	update(vn, vm, "192.0.2.3", 4);
	withdraw(vn, vm, 4);
	expect_none(vn);
	CU_ASSERT_EQUAL(found(vn, vm).generation, 5);
}

static void our_own_mapping_needs_no_entry(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();

	update(vn, vm, "192.0.2.1", 1);
	expect_none(vn);
	CU_ASSERT_EQUAL(vn_mapping_count(vn), 1);
}

static void a_pin_beats_the_directory(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	update(vn, vm, "192.0.2.2", 1);
	CU_ASSERT_EQUAL(vn_collect(vn, changes, ROOM), 2);

	CU_ASSERT_EQUAL(vn_pin(vn, vm, TAP), 0);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_REPLACE, TAP, NULL },
	       { FDB_LAYER_VXLAN, FDB_OP_DELETE, VXLAN, "192.0.2.2" });
	CU_ASSERT_EQUAL(vn_unpin(vn, vm), 0);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_REPLACE, VXLAN, "192.0.2.2" },
	       { FDB_LAYER_BRIDGE, FDB_OP_REPLACE, VXLAN, NULL });
	CU_ASSERT_EQUAL(vn_unpin(vn, other), 0);
	expect_none(vn);
}

/* While packets in flight are forwarded, the bridge's entry is the forward device's. */
static void a_hold_keeps_off_the_bridge(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();

	CU_ASSERT_EQUAL(vn_pin(vn, vm, TAP), 0);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_REPLACE, TAP, NULL });
	CU_ASSERT_EQUAL(vn_hold(vn, vm, true), 0);
	CU_ASSERT_EQUAL(vn_unpin(vn, vm), 0);
	update(vn, vm, "192.0.2.2", 2);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_REPLACE, VXLAN, "192.0.2.2" });
	CU_ASSERT_EQUAL(vn_hold(vn, vm, false), 0);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_REPLACE, VXLAN, NULL });
}

static void a_hold_that_ends_at_home_puts_the_pin_back(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	CU_ASSERT_EQUAL(vn_pin(vn, vm, TAP), 0);
	CU_ASSERT_EQUAL(vn_collect(vn, changes, ROOM), 1);
	CU_ASSERT_EQUAL(vn_hold(vn, vm, true), 0);
	expect_none(vn);
	CU_ASSERT_EQUAL(vn_hold(vn, vm, false), 0);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_REPLACE, TAP, NULL });
}

static void a_port_that_went_takes_its_entries_along(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	update(vn, vm, "192.0.2.2", 1);
	CU_ASSERT_EQUAL(vn_pin(vn, vm, TAP), 0);
	CU_ASSERT_EQUAL(vn_collect(vn, changes, ROOM), 1);
	vn_port_gone(vn, TAP);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_REPLACE, VXLAN, "192.0.2.2" },
	       { FDB_LAYER_BRIDGE, FDB_OP_REPLACE, VXLAN, NULL });
}

static void the_flood_list_follows_the_members(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct ip three[] = { ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::3") };
	struct ip two[] = { ip("192.0.2.1"), ip("192.0.2.4") };

	CU_ASSERT_EQUAL(vn_set_members(vn, three, 3), 0);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.2" },
	       { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "2001:db8::3" });
	CU_ASSERT_EQUAL(vn_set_members(vn, two, 2), 0);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.4" },
	       { FDB_LAYER_VXLAN, FDB_OP_DELETE, VXLAN, "192.0.2.2" },
	       { FDB_LAYER_VXLAN, FDB_OP_DELETE, VXLAN, "2001:db8::3" });
	expect_none(vn);
}

static void a_snapshot_forgets_what_it_does_not_name(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];
	struct mapping kept = mapping(other, "192.0.2.3", 1);
	struct nvo3_message first = { .kind = NVO3_UPDATE, .snapshot = true };
	struct nvo3_message last = {
		.kind = NVO3_UPDATE, .mappings = &kept, .mapping_count = 1, .snapshot_end = true
	};

	update(vn, vm, "192.0.2.2", 9);
	update(vn, other, "192.0.2.3", 4);
	CU_ASSERT_EQUAL(vn_collect(vn, changes, ROOM), 4);
	CU_ASSERT_FALSE(vn_is_synced(vn));

	CU_ASSERT_EQUAL(vn_update(vn, &first, NULL, NULL), 0);
	expect_none(vn);
	CU_ASSERT_EQUAL(vn_update(vn, &last, NULL, NULL), 0);
	CU_ASSERT_TRUE(vn_is_synced(vn));
	/*
	 * A snapshot is the truth even where its generation is older: the directory may have
	 * started anew.
	 */
	CU_ASSERT_EQUAL(found(vn, other).generation, 1);
	CU_ASSERT_FALSE(vn_find(vn, vm, &(struct mapping) { 0 }));
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_DELETE, VXLAN, NULL },
	       { FDB_LAYER_VXLAN, FDB_OP_DELETE, VXLAN, "192.0.2.2" });
}

/* An NVA that lost its memory must not make us lose ours. */
static void a_grace_keeps_what_a_new_nva_does_not_know(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];
	struct ip before[] = { ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3") };
	struct ip after[] = { ip("192.0.2.1"), ip("192.0.2.3") };
	struct nvo3_message empty = { .kind = NVO3_UPDATE, .snapshot = true, .snapshot_end = true };

	update(vn, vm, "192.0.2.2", 9);
	update(vn, other, "192.0.2.3", 4);
	CU_ASSERT_EQUAL(vn_set_members(vn, before, 3), 0);
	CU_ASSERT_EQUAL(vn_collect(vn, changes, ROOM), 6);

	vn_begin_grace(vn);
	CU_ASSERT_EQUAL(vn_update(vn, &empty, NULL, NULL), 0);
	CU_ASSERT_EQUAL(vn_set_members(vn, after, 2), 0);
	expect_none(vn);
	update(vn, other, "192.0.2.3", 1); /* said again, to a directory that counts from one */
	expect_none(vn);
	CU_ASSERT_EQUAL(found(vn, other).generation, 1);

	vn_end_grace(vn, NULL, NULL);
	CU_ASSERT_FALSE(vn_find(vn, vm, &(struct mapping) { 0 }));
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_DELETE, VXLAN, "192.0.2.2" },
	       { FDB_LAYER_BRIDGE, FDB_OP_DELETE, VXLAN, NULL },
	       { FDB_LAYER_VXLAN, FDB_OP_DELETE, VXLAN, "192.0.2.2" });
	vn_end_grace(vn, NULL, NULL);
	expect_none(vn);
}

static void another_vni_is_not_ours(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct mapping foreign = {
		.vni = VNI + 1, .mac = vm, .vtep = ip("192.0.2.2"), .generation = 1
	};
	struct nvo3_message message = { .kind = NVO3_UPDATE,
					.mappings = &foreign,
					.mapping_count = 1 };

	CU_ASSERT_EQUAL(vn_update(vn, &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(vn_mapping_count(vn), 0);
	expect_none(vn);
}

/* --- addresses --- */

static void claim(struct vn *vn, struct mac mac, const char *vtep, const char *first,
		  const char *second)
{
	struct mapping one = mapping(mac, vtep, 1);
	struct nvo3_message message = { .kind = NVO3_UPDATE, .mappings = &one, .mapping_count = 1 };

	if (first)
		one.ips[one.ip_count++] = ip(first);
	if (second)
		one.ips[one.ip_count++] = ip(second);
	CU_ASSERT_EQUAL(vn_update(vn, &message, NULL, NULL), 0);
}

/* Drops what comes out of the other layers. */
static size_t neighbours(struct vn *vn, struct fdb_change *ret_changes)
{
	struct fdb_change changes[ROOM];
	size_t count = vn_collect(vn, changes, ROOM), n = 0;

	for (size_t i = 0; i < count; i++)
		if (changes[i].entry.layer == FDB_LAYER_NEIGHBOUR)
			ret_changes[n++] = changes[i];
	CU_ASSERT_FALSE(vn_has_changes(vn));
	return n;
}

static void expect_neighbour(struct vn *vn, enum fdb_op op, const char *address, struct mac mac)
{
	struct fdb_change changes[ROOM];

	CU_ASSERT_EQUAL_FATAL(neighbours(vn, changes), 1);
	CU_ASSERT_EQUAL(changes[0].op, op);
	CU_ASSERT_EQUAL(changes[0].entry.ifindex, BRIDGE);
	CU_ASSERT_EQUAL(ip_cmp(changes[0].entry.ip, ip(address)), 0);
	if (op != FDB_OP_DELETE)
		CU_ASSERT_EQUAL(mac_cmp(changes[0].entry.mac, mac), 0);
}

static void addresses_of_every_mapping_are_neighbours(void)
{
	/* At another NVE, and here: the bridge keeps a question for either off the VXLAN port. */
	static const char *const vteps[] = { "192.0.2.2", "192.0.2.1" };
	struct fdb_change changes[ROOM];

	for (size_t i = 0; i < ARRAY_SIZE(vteps); i++) {
		_cleanup_(vn_freep) struct vn *vn = new_vn();
		struct mac owner;

		claim(vn, vm, vteps[i], "10.0.0.1", "fd00::1");
		CU_ASSERT_EQUAL(neighbours(vn, changes), 2);
		CU_ASSERT_EQUAL(vn_resolve(vn, ip("fd00::1"), &owner), 1);
		CU_ASSERT_EQUAL(mac_cmp(owner, vm), 0);
		CU_ASSERT_EQUAL(vn_is_remote(vn, vm), i == 0);
		withdraw(vn, vm, 1);
		CU_ASSERT_EQUAL(neighbours(vn, changes), 2);
		CU_ASSERT_EQUAL(changes[0].op, FDB_OP_DELETE);
		CU_ASSERT_EQUAL(vn_resolve(vn, ip("fd00::1"), &owner), 0);
	}
}

static void an_address_that_went_is_deleted_alone(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	claim(vn, vm, "192.0.2.2", "10.0.0.1", "fd00::1");
	CU_ASSERT_EQUAL(neighbours(vn, changes), 2);
	claim(vn, vm, "192.0.2.2", "fd00::1", NULL);
	expect_neighbour(vn, FDB_OP_DELETE, "10.0.0.1", vm);
	CU_ASSERT_EQUAL(found(vn, vm).ip_count, 1);
	CU_ASSERT_EQUAL(ip_cmp(found(vn, vm).ips[0], ip("fd00::1")), 0);
}

/* Nobody is answered for an address that two have. */
static void an_address_of_two_is_nobodys(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];
	struct mac owner;

	claim(vn, vm, "192.0.2.2", "10.0.0.1", NULL);
	expect_neighbour(vn, FDB_OP_REPLACE, "10.0.0.1", vm);
	claim(vn, other, "192.0.2.3", "10.0.0.1", NULL);
	expect_neighbour(vn, FDB_OP_DELETE, "10.0.0.1", vm);
	CU_ASSERT_EQUAL(vn_resolve(vn, ip("10.0.0.1"), &owner), 2);
	claim(vn, vm, "192.0.2.2", NULL, NULL);
	expect_neighbour(vn, FDB_OP_REPLACE, "10.0.0.1", other);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 0);
}

static void an_address_that_changes_hands_is_one_replace(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct mapping both[2] = { mapping(vm, "192.0.2.2", 1), mapping(other, "192.0.2.3", 1) };
	struct nvo3_message message = { .kind = NVO3_UPDATE, .mappings = both, .mapping_count = 2 };
	struct fdb_change changes[ROOM];
	struct vn_news news[VN_NEWS_MAX];

	claim(vn, vm, "192.0.2.2", "10.0.0.1", NULL);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 1);
	CU_ASSERT_EQUAL(
		vn_update(vn, &(struct nvo3_message){ .kind = NVO3_UPDATE, .snapshot_end = true },
			  NULL, NULL),
		0);
	both[1].ips[both[1].ip_count++] = ip("10.0.0.1");
	CU_ASSERT_EQUAL(vn_update(vn, &message, NULL, NULL), 0);
	expect_neighbour(vn, FDB_OP_REPLACE, "10.0.0.1", other);
	CU_ASSERT_EQUAL_FATAL(vn_take_news(vn, news), 1);
	CU_ASSERT_EQUAL(mac_cmp(news[0].mac, other), 0);
	CU_ASSERT_EQUAL(ip_cmp(news[0].ip, ip("10.0.0.1")), 0);
	CU_ASSERT_EQUAL(vn_take_news(vn, news), 0);
}

/* Guests may still have the old MAC, though nobody claimed the address in between. */
static void an_address_that_was_free_in_between_is_news(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];
	struct vn_news news[VN_NEWS_MAX];

	CU_ASSERT_EQUAL(
		vn_update(vn, &(struct nvo3_message){ .kind = NVO3_UPDATE, .snapshot_end = true },
			  NULL, NULL),
		0);
	claim(vn, vm, "192.0.2.2", "10.0.0.1", NULL);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 1);
	CU_ASSERT_EQUAL(vn_take_news(vn, news), 0);
	withdraw(vn, vm, 1);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 1);
	claim(vn, other, "192.0.2.3", "10.0.0.1", NULL);
	CU_ASSERT_EQUAL(vn_take_news(vn, news), 1);
	expect_neighbour(vn, FDB_OP_REPLACE, "10.0.0.1", other);
}

/* Far more come and go than are remembered. */
static void released_addresses_are_forgotten_in_the_end(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];
	char address[32];

	for (int i = 0; i < 20000; i++) {
		(void) snprintf(address, sizeof(address), "10.0.%d.%d", i / 250, i % 250 + 1);
		claim(vn, vm, "192.0.2.2", address, NULL);
		CU_ASSERT_EQUAL(neighbours(vn, changes), i == 0 ? 1 : 2);
	}
	claim(vn, vm, "192.0.2.2", "10.0.0.1", NULL);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 2);
}

static void a_router_is_marked(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct mapping one = mapping(vm, "192.0.2.2", 1);
	struct nvo3_message message = { .kind = NVO3_UPDATE, .mappings = &one, .mapping_count = 1 };
	struct fdb_change changes[ROOM];

	one.ips[one.ip_count++] = ip("fe80::1");
	CU_ASSERT_EQUAL(vn_update(vn, &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 1);
	CU_ASSERT_FALSE(changes[0].entry.router);
	one.flags = MAPPING_ROUTER;
	CU_ASSERT_EQUAL(vn_update(vn, &message, NULL, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(neighbours(vn, changes), 1);
	CU_ASSERT_TRUE(changes[0].entry.router);
}

static void a_neighbour_that_vanished_comes_back(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	claim(vn, vm, "192.0.2.2", "10.0.0.1", NULL);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 1);
	vn_neighbour_gone(vn, ip("10.0.0.1"));
	expect_neighbour(vn, FDB_OP_REPLACE, "10.0.0.1", vm);
	withdraw(vn, vm, 1);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 1);
	vn_neighbour_gone(vn, ip("10.0.0.1")); /* by us */
	CU_ASSERT_EQUAL(neighbours(vn, changes), 0);
}

static void without_suppression_there_are_no_neighbours(void)
{
	_cleanup_(vn_freep) struct vn *vn = NULL;
	struct fdb_change changes[ROOM];
	struct mac owner;

	CU_ASSERT_EQUAL_FATAL(vn_new(VNI, ip("192.0.2.1"), (struct vn_devices){ VXLAN, 0 }, &vn),
			      0);
	claim(vn, vm, "192.0.2.2", "10.0.0.1", NULL);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 0);
	CU_ASSERT_EQUAL(vn_resolve(vn, ip("10.0.0.1"), &owner), 1);
}

/* --- an earlier life --- */

static const struct mac stranger = { { 0x52, 0x54, 0, 0xaa, 0, 0x12 } };

static void note(struct vn *vn, struct fdb_entry entry)
{
	CU_ASSERT_EQUAL(vn_note(vn, &entry), 0);
}

static void what_is_there_already_is_not_made_again(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();

	note(vn, (struct fdb_entry){
			 .layer = FDB_LAYER_BRIDGE, .ifindex = VXLAN, .mac = vm, .ours = true });
	note(vn, (struct fdb_entry){ .layer = FDB_LAYER_VXLAN,
				     .ifindex = VXLAN,
				     .mac = vm,
				     .vtep = ip("192.0.2.2"),
				     .ours = true });
	note(vn, (struct fdb_entry){ .layer = FDB_LAYER_BRIDGE,
				     .ifindex = TAP,
				     .mac = other,
				     .sticky = true,
				     .ours = true });
	vn_noted(vn);
	update(vn, vm, "192.0.2.2", 1);
	expect_none(vn);
	update(vn, other, "192.0.2.3", 1);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.3" },
	       { FDB_LAYER_BRIDGE, FDB_OP_REPLACE, VXLAN, NULL });
}

static void what_nobody_claims_goes_when_all_is_known(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	note(vn,
	     (struct fdb_entry){
		     .layer = FDB_LAYER_BRIDGE, .ifindex = VXLAN, .mac = stranger, .ours = true });
	note(vn, (struct fdb_entry){ .layer = FDB_LAYER_NEIGHBOUR,
				     .ifindex = BRIDGE,
				     .mac = stranger,
				     .ip = ip("fd00::9"),
				     .ours = true });
	note(vn, (struct fdb_entry){ .layer = FDB_LAYER_VXLAN,
				     .ifindex = VXLAN,
				     .vtep = ip("192.0.2.9"),
				     .ours = true });
	vn_noted(vn);
	expect_none(vn);
	vn_drop_unclaimed(vn);
	CU_ASSERT_EQUAL_FATAL(vn_collect(vn, changes, ROOM), 3);
	for (size_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(changes[i].op, FDB_OP_DELETE);
	vn_drop_unclaimed(vn);
	expect_none(vn);
}

static void an_operators_neighbour_is_left_alone(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	note(vn, (struct fdb_entry){ .layer = FDB_LAYER_NEIGHBOUR,
				     .ifindex = BRIDGE,
				     .mac = stranger,
				     .ip = ip("10.0.0.1"),
				     .fixed = true });
	vn_noted(vn);
	claim(vn, vm, "192.0.2.2", "10.0.0.1", NULL);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 0);
	withdraw(vn, vm, 1);
	CU_ASSERT_EQUAL(neighbours(vn, changes), 0);
}

static void room_is_never_exceeded(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[VN_COLLECT_MIN];
	size_t total = 0;

	for (uint8_t i = 0; i < 100; i++)
		update(vn, (struct mac) { { 2, 0, 0, 0, 0, i } }, "192.0.2.2", 1);
	while (vn_has_changes(vn)) {
		size_t n = vn_collect(vn, changes, VN_COLLECT_MIN);

		CU_ASSERT_FATAL(n > 0 && n <= VN_COLLECT_MIN);
		total += n;
	}
	CU_ASSERT_EQUAL(total, 200);
}

static void one_mac_need_not_wait(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	update(vn, vm, "192.0.2.2", 1);
	update(vn, other, "192.0.2.2", 1);
	CU_ASSERT_EQUAL(vn_collect_mac(vn, vm, changes), 2);
	CU_ASSERT_EQUAL(mac_cmp(changes[0].entry.mac, vm), 0);
	CU_ASSERT_EQUAL(vn_collect(vn, changes, ROOM), 2);
	CU_ASSERT_EQUAL(mac_cmp(changes[0].entry.mac, other), 0);
	CU_ASSERT_EQUAL(vn_collect_mac(vn, stranger, changes), 0);
}

/* --- what others made permanent --- */

static void an_operators_entries_are_left_alone(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	const struct fdb_entry static_mac = {
		.layer = FDB_LAYER_BRIDGE, .ifindex = TAP, .mac = vm, .fixed = true
	};
	const struct fdb_entry static_vtep = { .layer = FDB_LAYER_VXLAN,
					       .ifindex = VXLAN,
					       .mac = other,
					       .vtep = ip("192.0.2.9"),
					       .fixed = true };

	note(vn, static_mac);
	note(vn, static_vtep);
	vn_noted(vn);
	update(vn, vm, "192.0.2.2", 1);
	update(vn, other, "192.0.2.2", 1);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_ADD, VXLAN, NULL },
	       { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.2" });
	CU_ASSERT_EQUAL(vn_theirs(vn, &(struct mac) { { 0 } }), 2);
	update(vn, vm, "192.0.2.3", 2);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_REPLACE, VXLAN, "192.0.2.3" });
	withdraw(vn, other, 1);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_DELETE, VXLAN, NULL });

	/* They take it away again: ours goes in. */
	vn_theirs_gone(vn, &static_mac);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_ADD, VXLAN, NULL });
	update(vn, other, "192.0.2.2", 2);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_ADD, VXLAN, NULL });
	vn_theirs_gone(vn, &static_vtep);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.2" });
	CU_ASSERT_EQUAL(vn_theirs(vn, &(struct mac) { { 0 } }), 0);
}

static void what_becomes_permanent_while_we_run_is_left_alone(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	const struct fdb_entry before = {
		.layer = FDB_LAYER_BRIDGE, .ifindex = TAP, .mac = vm, .fixed = true
	};
	const struct fdb_entry after = {
		.layer = FDB_LAYER_BRIDGE, .ifindex = VXLAN, .mac = other, .fixed = true
	};

	vn_noted(vn);
	CU_ASSERT_EQUAL(vn_note_theirs(vn, &before), 0);
	update(vn, vm, "192.0.2.2", 1);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.2" });

	/* The kernel keeps our mark when somebody changes an entry of ours: it is ours. */
	update(vn, other, "192.0.2.2", 1);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.2" },
	       { FDB_LAYER_BRIDGE, FDB_OP_ADD, VXLAN, NULL });
	CU_ASSERT_EQUAL(vn_note_theirs(vn, &after), 0);
	withdraw(vn, other, 1);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_DELETE, VXLAN, NULL },
	       { FDB_LAYER_VXLAN, FDB_OP_DELETE, VXLAN, "192.0.2.2" });

	/* A port takes what was at it along. */
	vn_port_gone(vn, TAP);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_ADD, VXLAN, NULL });
}

static void a_vms_own_entry_on_its_own_port_is_taken_over(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();

	note(vn, (struct fdb_entry){
			 .layer = FDB_LAYER_BRIDGE, .ifindex = TAP, .mac = vm, .fixed = true });
	note(vn, (struct fdb_entry){
			 .layer = FDB_LAYER_BRIDGE, .ifindex = TAP, .mac = other, .fixed = true });
	vn_noted(vn);
	CU_ASSERT_EQUAL(vn_pin(vn, vm, TAP), 0);
	CU_ASSERT_EQUAL(vn_pin(vn, other, FORWARD), 0);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_ADD, TAP, NULL });
}

static void somebody_elses_flood_destination_stays(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	const struct fdb_entry theirs = {
		.layer = FDB_LAYER_VXLAN, .ifindex = VXLAN, .vtep = ip("192.0.2.9"), .fixed = true
	};
	struct ip members[] = { ip("192.0.2.9"), ip("192.0.2.2") };

	note(vn, theirs);
	vn_noted(vn);
	CU_ASSERT_EQUAL(vn_set_members(vn, members, 2), 0);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.2" });
	CU_ASSERT_EQUAL(vn_set_members(vn, members, 0), 0);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_DELETE, VXLAN, "192.0.2.2" });
	CU_ASSERT_EQUAL(vn_set_members(vn, members, 1), 0);
	expect_none(vn);
	vn_theirs_gone(vn, &theirs);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.9" });
}

/* --- the audit --- */

/* A kernel: what it has, and what it was asked for. */
struct kernel_tables {
	struct fdb_entry entries[ROOM];
	size_t count, asked;
};

static bool same_key(const struct fdb_entry *a, const struct fdb_entry *b)
{
	return a->layer == b->layer &&
	       (a->layer == FDB_LAYER_NEIGHBOUR ? ip_cmp(a->ip, b->ip) == 0
						: mac_cmp(a->mac, b->mac) == 0);
}

static void audit(struct vn *vn, struct kernel_tables *kernel)
{
	struct fdb_entry asked[VN_AUDIT_MIN];
	size_t count;

	kernel->asked = 0;
	vn_audit_begin(vn);
	while (vn_audit_next(vn, asked, ARRAY_SIZE(asked), &count)) {
		CU_ASSERT_FATAL(count <= ARRAY_SIZE(asked));
		for (size_t i = 0; i < count; i++) {
			const struct fdb_entry *actual = NULL;

			for (size_t j = 0; j < kernel->count; j++)
				if (same_key(&asked[i], &kernel->entries[j]))
					actual = &kernel->entries[j];
			vn_audit_take(vn, &asked[i], actual);
			kernel->asked++;
		}
	}
}

/* What @vn tells the kernel becomes what it has. */
static void obey(struct vn *vn, struct kernel_tables *kernel)
{
	struct fdb_change changes[ROOM];

	while (vn_has_changes(vn)) {
		size_t n = vn_collect(vn, changes, ROOM);

		for (size_t i = 0; i < n; i++)
			kernel->entries[kernel->count++] = changes[i].entry;
	}
}

static void scene(struct vn *vn, struct kernel_tables *kernel)
{
	vn_noted(vn);
	claim(vn, vm, "192.0.2.2", "10.0.0.1", "fd00::1");
	CU_ASSERT_EQUAL(vn_pin(vn, other, TAP), 0);
	obey(vn, kernel);
	CU_ASSERT_EQUAL(kernel->count, 5);
}

static void an_audit_of_what_is_right_changes_nothing(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct ip members[] = { ip("192.0.2.2") };
	struct kernel_tables kernel = { .count = 0 };

	scene(vn, &kernel);
	CU_ASSERT_EQUAL(vn_set_members(vn, members, 1), 0);
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.2" });
	audit(vn, &kernel);
	CU_ASSERT_EQUAL(kernel.asked, 5);
	/* the list cannot be asked */
	EXPECT(vn, { FDB_LAYER_VXLAN, FDB_OP_ADD, VXLAN, "192.0.2.2" });
	expect_none(vn);
}

static void an_audit_brings_back_what_is_lost(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct kernel_tables kernel = { .count = 0 }, empty = { .count = 0 };
	struct fdb_change changes[ROOM];

	scene(vn, &kernel);
	audit(vn, &empty);
	CU_ASSERT_EQUAL(vn_collect(vn, changes, ROOM), 5);
	for (size_t i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(changes[i].op, FDB_OP_ADD);
	audit(vn, &kernel);
	expect_none(vn);
}

static void an_audit_puts_right_what_differs(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct kernel_tables kernel = { .count = 0 };
	struct fdb_change changes[ROOM];
	size_t count;

	scene(vn, &kernel);
	for (size_t i = 0; i < kernel.count; i++) {
		struct fdb_entry *entry = &kernel.entries[i];

		if (entry->layer == FDB_LAYER_VXLAN)
			entry->vtep = ip("192.0.2.7");
		else if (entry->layer == FDB_LAYER_NEIGHBOUR)
			entry->mac = stranger;
		else if (entry->sticky)
			entry->sticky = false;
		else
			*entry = (struct fdb_entry){ .layer = FDB_LAYER_BRIDGE,
						     .ifindex = TAP,
						     .mac = entry->mac };
	}
	audit(vn, &kernel);
	count = vn_collect(vn, changes, ROOM);
	CU_ASSERT_EQUAL(count, 5);
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_EQUAL(changes[i].op, FDB_OP_REPLACE);
}

static void an_audit_leaves_alone_what_is_not_ours(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct kernel_tables kernel = { .count = 0 };

	scene(vn, &kernel);
	for (size_t i = 0; i < kernel.count; i++) {
		kernel.entries[i].ours = false;
		kernel.entries[i].fixed = true;
		kernel.entries[i].ifindex = FORWARD;
	}
	audit(vn, &kernel);
	expect_none(vn);
	CU_ASSERT_EQUAL(vn_theirs(vn, &(struct mac) { { 0 } }), 1);
	withdraw(vn, vm, 1);
	CU_ASSERT_EQUAL(vn_unpin(vn, other), 0);
	expect_none(vn);

	/*
	 * All is taken away again, and nothing of ours is missing then, because nothing is wanted.
	 */
	kernel.count = 0;
	audit(vn, &kernel);
	CU_ASSERT_TRUE(kernel.asked > 0);
	expect_none(vn);
	audit(vn, &kernel);
	CU_ASSERT_EQUAL(kernel.asked, 0);
}

static void an_audit_leaves_packets_in_flight_alone(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct kernel_tables kernel = { .count = 0 };
	struct fdb_change changes[ROOM];

	CU_ASSERT_EQUAL(vn_pin(vn, vm, TAP), 0);
	CU_ASSERT_EQUAL(vn_collect(vn, changes, ROOM), 1);
	CU_ASSERT_EQUAL(vn_hold(vn, vm, true), 0);
	expect_none(vn);
	kernel.entries[kernel.count++] = (struct fdb_entry){ .layer = FDB_LAYER_BRIDGE,
							     .ifindex = FORWARD,
							     .mac = vm,
							     .sticky = true,
							     .ours = true };
	audit(vn, &kernel);
	expect_none(vn);
}

static void an_audit_of_thousands_is_done_in_pieces(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];
	struct fdb_entry asked[ROOM];
	size_t count, total = 0, pieces = 0;

	vn_noted(vn);
	for (unsigned i = 0; i < 5000; i++)
		update(vn, (struct mac){ { 2, 0, 0, 0, (uint8_t) (i >> 8), (uint8_t) i } },
		       "192.0.2.2", 1);
	while (vn_has_changes(vn))
		(void) vn_collect(vn, changes, ROOM);
	for (vn_audit_begin(vn); vn_audit_next(vn, asked, ROOM, &count); pieces++) {
		CU_ASSERT_TRUE(count <= ROOM);
		for (size_t i = 0; i < count; i++)
			vn_audit_take(vn, &asked[i], NULL);
		total += count;
	}
	CU_ASSERT_EQUAL(total, 10000);
	CU_ASSERT_TRUE(pieces >= total / ROOM);
	for (total = 0; vn_has_changes(vn);)
		total += vn_collect(vn, changes, ROOM);
	CU_ASSERT_EQUAL(total, 10000);
}

struct seen {
	unsigned changed, removed;
};

static void on_changed(void *userdata, struct mac mac, const struct mapping *mapping)
{
	struct seen *seen = userdata;

	if (mapping)
		seen->changed++;
	else
		seen->removed++;
}

static void changes_are_told(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct mapping one = mapping(vm, "192.0.2.2", 1),
		       gone = { .vni = VNI, .mac = vm, .generation = 1 };
	struct nvo3_message add = { .kind = NVO3_UPDATE, .mappings = &one, .mapping_count = 1 };
	struct nvo3_message remove = { .kind = NVO3_UPDATE, .removed = &gone, .removed_count = 1 };
	struct seen seen = { 0 };

	CU_ASSERT_EQUAL(vn_update(vn, &add, on_changed, &seen), 0);
	CU_ASSERT_EQUAL(vn_update(vn, &remove, on_changed, &seen), 0);
	CU_ASSERT_EQUAL(seen.changed, 1);
	CU_ASSERT_EQUAL(seen.removed, 1);

	/*
	 * Of what was never known, too: what we have registered may have been another's since, and
	 * gone.
	 */
	CU_ASSERT_EQUAL(vn_update(vn, &remove, on_changed, &seen), 0);
	CU_ASSERT_EQUAL(seen.removed, 2);
	one.generation = 2;
	CU_ASSERT_EQUAL(vn_update(vn, &add, on_changed, &seen), 0);
	CU_ASSERT_EQUAL(vn_update(vn, &remove, on_changed, &seen), 0); /* late */
	CU_ASSERT_EQUAL(seen.removed, 2);
}

/* --- pull --- */

static void a_puller_takes_what_it_asked_for(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct mapping answer = mapping(vm, "192.0.2.2", 1), none;

	vn_set_pull(vn, true);
	update(vn, vm, "192.0.2.2", 1); /* of what it has dropped meanwhile, say */
	CU_ASSERT_FALSE(vn_find(vn, vm, &none));
	expect_none(vn);

	CU_ASSERT_EQUAL(vn_learn(vn, &answer, NULL, NULL), 0);
	update(vn, vm, "2001:db8::3", 2);
	CU_ASSERT_EQUAL(found(vn, vm).generation, 2);
	update(vn, other, "192.0.2.1", 1); /* its own */
	CU_ASSERT_EQUAL(found(vn, other).generation, 1);
	CU_ASSERT_TRUE(vn_is_here(vn, other));
	CU_ASSERT_FALSE(vn_is_here(vn, vm));

	vn_set_pull(vn, false);
	update(vn, (struct mac) { { 2 } }, "192.0.2.2", 1);
	CU_ASSERT_EQUAL(vn_mapping_count(vn), 3);
}

static void what_is_pinned_here_is_taken_from_an_update(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();

	vn_set_pull(vn, true);
	CU_ASSERT_EQUAL(vn_pin(vn, vm, TAP), 0);
	CU_ASSERT_TRUE(vn_is_here(vn, vm));
	update(vn, vm, "192.0.2.2", 7); /* somebody else's, by now: a move */
	CU_ASSERT_EQUAL(found(vn, vm).generation, 7);
}

static void only_what_nobody_here_needs_is_forgotten(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];

	CU_ASSERT_FALSE(vn_forget(vn, vm));
	update(vn, vm, "192.0.2.1", 1);
	CU_ASSERT_FALSE(vn_forget(vn, vm));
	update(vn, vm, "192.0.2.2", 2);
	CU_ASSERT_EQUAL(vn_hold(vn, vm, true), 0);
	CU_ASSERT_FALSE(vn_forget(vn, vm));
	CU_ASSERT_EQUAL(vn_hold(vn, vm, false), 0);
	CU_ASSERT_EQUAL(vn_pin(vn, vm, TAP), 0);
	CU_ASSERT_FALSE(vn_forget(vn, vm));
	CU_ASSERT_EQUAL(vn_unpin(vn, vm), 0);
	(void) vn_collect(vn, changes, ROOM);
	CU_ASSERT_TRUE(vn_forget(vn, vm));
	CU_ASSERT_EQUAL(vn_mapping_count(vn), 0);
	EXPECT(vn, { FDB_LAYER_BRIDGE, FDB_OP_DELETE, VXLAN, NULL },
	       { FDB_LAYER_VXLAN, FDB_OP_DELETE, VXLAN, "192.0.2.2" });
	CU_ASSERT_FALSE(vn_forget(vn, vm));
}

static struct mac numbered(unsigned n)
{
	return (struct mac) { { 2, 0, 0, 0, (uint8_t) (n >> 8), (uint8_t) n } };
}

/* Of 3000 every third goes, and 500 new ones come, while the list is made. */
static void a_walk_shows_once_what_stays(void)
{
	enum { COUNT = 3000, NEW = 500, ODD = 7 };
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct fdb_change changes[ROOM];
	unsigned seen[COUNT + NEW] = { 0 };
	struct mapping mappings[ODD];
	uint32_t position = 0;
	size_t count, pieces = 0;
	bool more;

	for (unsigned n = 0; n < COUNT; n++)
		update(vn, numbered(n), "192.0.2.2", 1);
	do {
		more = vn_walk(vn, &position, mappings, ODD, &count);
		CU_ASSERT_TRUE_FATAL(count <= ODD);
		for (size_t i = 0; i < count; i++)
			seen[mappings[i].mac.octet[4] << 8 | mappings[i].mac.octet[5]]++;
		if (pieces < COUNT / 3)
			withdraw(vn, numbered((unsigned) (COUNT - 3 - 3 * pieces)), 1);
		if (pieces < NEW)
			update(vn, numbered((unsigned) (COUNT + pieces)), "192.0.2.3", 1);
		while (vn_has_changes(vn))
			(void) vn_collect(vn, changes, ROOM);
		pieces++;
	} while (more);
	for (unsigned n = 0; n < COUNT; n++)
		CU_ASSERT_TRUE(n % 3 ? seen[n] == 1 : seen[n] <= 1);
	for (unsigned n = COUNT; n < COUNT + NEW; n++)
		CU_ASSERT_TRUE(seen[n] <= 1);
}

static void a_walk_of_nothing_ends(void)
{
	_cleanup_(vn_freep) struct vn *vn = new_vn();
	struct mapping mappings[ROOM];
	uint32_t position = 0;
	size_t count = 9;

	CU_ASSERT_FALSE(vn_walk(vn, &position, mappings, ROOM, &count));
	CU_ASSERT_EQUAL(count, 0);
}

UNIT_MAIN("vn",
	UNIT_TEST(a_puller_takes_what_it_asked_for),
	UNIT_TEST(what_is_pinned_here_is_taken_from_an_update),
	UNIT_TEST(only_what_nobody_here_needs_is_forgotten),
	UNIT_TEST(a_remote_mac_gets_both_layers),
	UNIT_TEST(a_mac_that_moved_is_one_replace),
	UNIT_TEST(an_older_generation_changes_nothing),
	UNIT_TEST(our_own_mapping_needs_no_entry),
	UNIT_TEST(a_pin_beats_the_directory),
	UNIT_TEST(a_hold_keeps_off_the_bridge),
	UNIT_TEST(a_hold_that_ends_at_home_puts_the_pin_back),
	UNIT_TEST(a_port_that_went_takes_its_entries_along),
	UNIT_TEST(the_flood_list_follows_the_members),
	UNIT_TEST(a_snapshot_forgets_what_it_does_not_name),
	UNIT_TEST(a_grace_keeps_what_a_new_nva_does_not_know),
	UNIT_TEST(another_vni_is_not_ours),
	UNIT_TEST(addresses_of_every_mapping_are_neighbours),
	UNIT_TEST(an_address_that_went_is_deleted_alone),
	UNIT_TEST(an_address_of_two_is_nobodys),
	UNIT_TEST(an_address_that_changes_hands_is_one_replace),
	UNIT_TEST(an_address_that_was_free_in_between_is_news),
	UNIT_TEST(released_addresses_are_forgotten_in_the_end),
	UNIT_TEST(a_router_is_marked),
	UNIT_TEST(a_neighbour_that_vanished_comes_back),
	UNIT_TEST(without_suppression_there_are_no_neighbours),
	UNIT_TEST(what_is_there_already_is_not_made_again),
	UNIT_TEST(what_nobody_claims_goes_when_all_is_known),
	UNIT_TEST(an_operators_neighbour_is_left_alone),
	UNIT_TEST(room_is_never_exceeded),
	UNIT_TEST(one_mac_need_not_wait),
	UNIT_TEST(an_operators_entries_are_left_alone),
	UNIT_TEST(what_becomes_permanent_while_we_run_is_left_alone),
	UNIT_TEST(a_vms_own_entry_on_its_own_port_is_taken_over),
	UNIT_TEST(somebody_elses_flood_destination_stays),
	UNIT_TEST(an_audit_of_what_is_right_changes_nothing),
	UNIT_TEST(an_audit_brings_back_what_is_lost),
	UNIT_TEST(an_audit_puts_right_what_differs),
	UNIT_TEST(an_audit_leaves_alone_what_is_not_ours),
	UNIT_TEST(an_audit_leaves_packets_in_flight_alone),
	UNIT_TEST(an_audit_of_thousands_is_done_in_pieces),
	UNIT_TEST(a_walk_shows_once_what_stays),
	UNIT_TEST(a_walk_of_nothing_ends),
	UNIT_TEST(changes_are_told))
