/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Forwarding entries in the kernel: what is applied is what is dumped, and what bridge(8) shows;
 * who may move them.
 */
#include <errno.h>
#include <string.h>

#include "tests/netns/netns.h"

enum { FRAME_SIZE = 64, TAPS = 2 };

static const struct mac nobody;

struct scene {
	const struct underlay *underlay;
	struct kernel *kernel;
	struct vni_devices devices;
	struct fdb_table *desired;
	int taps[TAPS]; /* "t0" and "t1", ports of the bridge */
	uint32_t tap_index[TAPS];
};

static struct scene begin(const struct underlay *underlay)
{
	struct scene scene = { .underlay = underlay, .desired = fdb_table_new() };

	close(netns_new());
	CU_ASSERT_PTR_NOT_NULL_FATAL(scene.desired);
	CU_ASSERT_EQUAL_FATAL(kernel_new(&scene.kernel), 0);
	make_underlay(underlay);
	make_vni(scene.kernel, underlay, &scene.devices);
	for (int i = 0; i < TAPS; i++) {
		char name[] = { 't', (char) ('0' + i), '\0' };

		scene.taps[i] = tap_open(name, "br100");
		scene.tap_index[i] = ifindex_of(name);
	}
	return scene;
}

static void end(struct scene *scene)
{
	for (int i = 0; i < TAPS; i++)
		close(scene->taps[i]);
	fdb_table_free(scene->desired);
	kernel_free(scene->kernel);
}

static void on_both(void (*test)(struct scene *scene))
{
	for (size_t i = 0; i < ARRAY_SIZE(underlays); i++) {
		struct scene scene = begin(&underlays[i]);

		test(&scene);
		end(&scene);
	}
}

/* --- what is wanted --- */

static void want(struct scene *scene, struct fdb_entry entry)
{
	CU_ASSERT_EQUAL_FATAL(fdb_table_put(scene->desired, &entry), 0);
}

static void want_port(struct scene *scene, struct mac mac, uint32_t ifindex, bool sticky)
{
	want(scene, (struct fdb_entry){ .layer = FDB_LAYER_BRIDGE,
					.ifindex = ifindex,
					.mac = mac,
					.sticky = sticky,
					.ours = true });
}

static void want_vtep(struct scene *scene, struct mac mac, const char *vtep)
{
	want(scene, (struct fdb_entry){ .layer = FDB_LAYER_VXLAN,
					.ifindex = scene->devices.vxlan_ifindex,
					.mac = mac,
					.vtep = ip_of(vtep),
					.ours = true });
}

static struct fdb_table *dumped(struct scene *scene)
{
	struct fdb_table *actual = fdb_table_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(actual);
	CU_ASSERT_EQUAL_FATAL(kernel_fdb_dump(scene->kernel, &scene->devices, actual), 0);
	return actual;
}

static bool is_listed(const struct fdb_entry *entry)
{
	return entry->layer == FDB_LAYER_VXLAN && mac_is_zero(entry->mac);
}

static bool same_place(const struct fdb_entry *a, const struct fdb_entry *b)
{
	return a->ifindex == b->ifindex && a->sticky == b->sticky &&
	       ip_cmp(a->vtep, b->vtep) == 0 && a->port == b->port && a->vni == b->vni;
}

static const struct fdb_entry *counterpart(const struct fdb_table *table,
					   const struct fdb_entry *entry)
{
	const struct fdb_entry *entries = fdb_table_entries(table);

	for (size_t i = 0; i < fdb_table_count(table); i++)
		if (entries[i].layer == entry->layer && mac_cmp(entries[i].mac, entry->mac) == 0 &&
		    (entry->layer == FDB_LAYER_BRIDGE || entries[i].ifindex == entry->ifindex) &&
		    (!is_listed(entry) || ip_cmp(entries[i].vtep, entry->vtep) == 0))
			return &entries[i];
	return NULL;
}

/* What makes the kernel hold what is wanted; the caller frees it. Additions come first. */
static size_t difference(struct scene *scene, struct fdb_change **ret_changes)
{
	_cleanup_(fdb_table_freep) struct fdb_table *actual = dumped(scene);
	const struct fdb_entry *wants = fdb_table_entries(scene->desired),
			       *haves = fdb_table_entries(actual);
	size_t want_count = fdb_table_count(scene->desired), have_count = fdb_table_count(actual),
	       n = 0;
	struct fdb_change *changes = calloc(want_count + have_count + 1, sizeof(*changes));

	CU_ASSERT_PTR_NOT_NULL_FATAL(changes);
	for (size_t i = 0; i < want_count; i++) {
		const struct fdb_entry *have = counterpart(actual, &wants[i]);
		bool fresh = !have || is_listed(have);

		if (!have || !have->ours || !same_place(have, &wants[i]))
			changes[n++] = (struct fdb_change){ fresh ? FDB_OP_ADD : FDB_OP_REPLACE,
							    wants[i] };
	}
	for (size_t i = 0; i < have_count; i++) {
		const struct fdb_entry *want = counterpart(scene->desired, &haves[i]);

		if (haves[i].ours && (!want || (is_listed(want) && !same_place(want, &haves[i]))))
			changes[n++] = (struct fdb_change) { FDB_OP_DELETE, haves[i] };
	}
	*ret_changes = changes;
	return n;
}

/* Brings the kernel there: @count changes, after which there is none. */
static void expect_settles(struct scene *scene, size_t count)
{
	struct fdb_change *changes = NULL, *again = NULL;
	size_t n = difference(scene, &changes);

	CU_ASSERT_EQUAL(n, count);
	CU_ASSERT_EQUAL(kernel_fdb_apply(scene->kernel, &scene->devices, changes, n, NULL), 0);
	CU_ASSERT_EQUAL(difference(scene, &again), 0);
	free(changes);
	free(again);
}

/* --- what bridge(8) says --- */

static bool vxlan_shows(const char *mac, const char *what)
{
	return shows("bridge fdb show dev vx100", mac, what, " self ", NULL);
}

static bool bridge_shows(const char *mac, const char *port, const char *what)
{
	char device[IFNAMSIZ + 8];

	snprintf(device, sizeof(device), "dev %s ", port);
	return shows("bridge fdb show br br100", mac, device, what, "master br100", NULL);
}

/* "dst ADDRESS " */
static const char *dst(const char *vtep)
{
	static char text[IP_TEXT_SIZE + 8];

	snprintf(text, sizeof(text), "dst %s ", vtep);
	return text;
}

static const char vm_text[] = "52:54:00:aa:00:10", other_text[] = "52:54:00:aa:00:11",
		  pinned_text[] = "52:54:00:aa:00:12", zero_text[] = "00:00:00:00:00:00";

/* --- round trip --- */

static void fill(struct scene *scene)
{
	const struct underlay *underlay = scene->underlay;

	want_vtep(scene, nobody, underlay->theirs);
	want_vtep(scene, nobody, underlay->third);
	want_vtep(scene, mac_of(vm_text), underlay->theirs);
	want_vtep(scene, mac_of(other_text), underlay->third);
	want_port(scene, mac_of(vm_text), scene->devices.vxlan_ifindex, false);
	want_port(scene, mac_of(other_text), scene->devices.vxlan_ifindex, false);
	want_port(scene, mac_of(pinned_text), scene->tap_index[0], true);
}

static void expect_filled(const struct underlay *underlay)
{
	CU_ASSERT_TRUE(vxlan_shows(zero_text, dst(underlay->theirs)));
	CU_ASSERT_TRUE(vxlan_shows(zero_text, dst(underlay->third)));
	CU_ASSERT_TRUE(vxlan_shows(vm_text, dst(underlay->theirs)));
	CU_ASSERT_TRUE(vxlan_shows(other_text, dst(underlay->third)));
	CU_ASSERT_TRUE(vxlan_shows(vm_text, "extern_learn"));
	CU_ASSERT_TRUE(vxlan_shows(zero_text, "extern_learn"));
	CU_ASSERT_TRUE(bridge_shows(vm_text, "vx100", "extern_learn"));
	CU_ASSERT_TRUE(bridge_shows(other_text, "vx100", "extern_learn"));
	CU_ASSERT_TRUE(bridge_shows(pinned_text, "t0", "extern_learn"));
	CU_ASSERT_TRUE(bridge_shows(pinned_text, "t0", "sticky"));
	CU_ASSERT_FALSE(bridge_shows(vm_text, "vx100", "sticky"));
}

static void round_trip(struct scene *scene)
{
	const struct underlay *underlay = scene->underlay;

	fill(scene);
	expect_settles(scene, 7);
	expect_filled(underlay);

	/* One goes elsewhere, one comes here, one VTEP leaves the list. */
	fdb_table_clear(scene->desired);
	want_vtep(scene, nobody, underlay->third);
	want_vtep(scene, mac_of(vm_text), underlay->third);
	want_port(scene, mac_of(vm_text), scene->devices.vxlan_ifindex, false);
	want_port(scene, mac_of(other_text), scene->tap_index[1], true);
	want_port(scene, mac_of(pinned_text), scene->devices.vxlan_ifindex, false);
	expect_settles(scene, 5);
	CU_ASSERT_FALSE(vxlan_shows(zero_text, dst(underlay->theirs)));
	CU_ASSERT_TRUE(vxlan_shows(zero_text, dst(underlay->third)));
	CU_ASSERT_TRUE(vxlan_shows(vm_text, dst(underlay->third)));
	CU_ASSERT_FALSE(vxlan_shows(vm_text, dst(underlay->theirs)));
	CU_ASSERT_FALSE(vxlan_shows(other_text, "dst"));
	CU_ASSERT_TRUE(bridge_shows(other_text, "t1", "sticky"));
	CU_ASSERT_FALSE(bridge_shows(other_text, "vx100", ""));
	CU_ASSERT_TRUE(bridge_shows(pinned_text, "vx100", "extern_learn"));
	CU_ASSERT_FALSE(bridge_shows(pinned_text, "vx100", "sticky"));

	fdb_table_clear(scene->desired);
	expect_settles(scene, 5);
	CU_ASSERT_FALSE(shows("bridge fdb show", "extern_learn", NULL));
}

static void what_is_applied_is_what_is_there(void)
{
	on_both(round_trip);
}

static void override(struct scene *scene)
{
	struct fdb_entry entry = {
		.layer = FDB_LAYER_VXLAN,
		.ifindex = scene->devices.vxlan_ifindex,
		.mac = mac_of(vm_text),
		.vtep = ip_of(scene->underlay->theirs),
		.port = 8472,
		.vni = 5000,
		.ours = true,
	};

	want(scene, entry);
	expect_settles(scene, 1);
	CU_ASSERT_TRUE(vxlan_shows(vm_text, "port 8472 "));
	CU_ASSERT_TRUE(vxlan_shows(vm_text, "vni 5000 "));

	want_vtep(scene, entry.mac, scene->underlay->theirs);
	expect_settles(scene, 1);
	CU_ASSERT_TRUE(vxlan_shows(vm_text, dst(scene->underlay->theirs)));
	CU_ASSERT_FALSE(vxlan_shows(vm_text, "port "));
	CU_ASSERT_FALSE(vxlan_shows(vm_text, "vni "));

	/* A listed one changes by way of two. */
	entry.mac = nobody;
	want_vtep(scene, nobody, scene->underlay->theirs);
	expect_settles(scene, 1);
	want(scene, entry);
	expect_settles(scene, 2);
	CU_ASSERT_TRUE(vxlan_shows(zero_text, "port 8472 "));
	CU_ASSERT_EQUAL(strtoul(output_of("bridge fdb show dev vx100 | grep -c %s", zero_text),
				NULL, 10),
			1);
}

static void a_destination_may_have_its_port_and_vni(void)
{
	on_both(override);
}

/* Many batches, and a dump of several messages. */
static void many(struct scene *scene)
{
	enum { MANY = 1000 };

	for (uint32_t i = 0; i < MANY; i++) {
		struct mac mac = { { 0x02, 0, 0, 0x01, (uint8_t) (i >> 8), (uint8_t) i } };

		want_port(scene, mac, i % 4 ? scene->devices.vxlan_ifindex : scene->tap_index[0],
			  i % 4 == 0);
		if (i % 4)
			want_vtep(scene, mac,
				  i % 2 ? scene->underlay->theirs : scene->underlay->third);
	}
	expect_settles(scene, MANY + MANY * 3 / 4);
	CU_ASSERT_EQUAL(strtoul(output_of("bridge fdb show | grep -c extern_learn"), NULL, 10),
			MANY + MANY * 3 / 4);
	fdb_table_clear(scene->desired);
	expect_settles(scene, MANY + MANY * 3 / 4);
	CU_ASSERT_FALSE(shows("bridge fdb show", "extern_learn", NULL));
}

static void as_many_as_there_are(void)
{
	on_both(many);
}

/* --- one by one --- */

static struct kernel_lookup look(struct scene *scene, struct fdb_entry asked)
{
	struct kernel_lookup lookup = { .asked = asked };

	CU_ASSERT_EQUAL(kernel_look(scene->kernel, &scene->devices, &lookup, 1), 0);
	return lookup;
}

/* What is looked up is what a dump has, for all there is; and nothing where nothing is. */
static void look_up(struct scene *scene)
{
	_cleanup_(fdb_table_freep) struct fdb_table *actual = NULL;
	struct kernel_lookup lookups[KERNEL_LOOKUPS_MAX + 1];
	size_t n = 0;

	fill(scene);
	expect_settles(scene, 7);
	CU_ASSERT_TRUE_FATAL(run(
		"ip neigh add 198.51.100.7 lladdr %s dev br100 nud permanent extern_learn router "
		"&& "
		"ip neigh add 2001:db8:100::7 lladdr %s dev br100 nud permanent extern_learn && "
		"bridge fdb add 02:00:00:00:00:f2 dev t0 master static",
		vm_text, vm_text));
	actual = dumped(scene);
	for (size_t i = 0; i < fdb_table_count(actual) && n < KERNEL_LOOKUPS_MAX; i++) {
		const struct fdb_entry *entry = &fdb_table_entries(actual)[i];

		if (entry->layer == FDB_LAYER_VXLAN && mac_is_zero(entry->mac))
			continue;
		lookups[n++].asked = *entry;
	}
	CU_ASSERT_TRUE(n >= 8);
	CU_ASSERT_EQUAL(kernel_look(scene->kernel, &scene->devices, lookups, n), 0);
	for (size_t i = 0; i < n; i++) {
		CU_ASSERT_TRUE(lookups[i].found);
		CU_ASSERT_EQUAL(memcmp(&lookups[i].asked, &lookups[i].actual,
				       sizeof(lookups[i].actual)),
				0);
	}

	for (int layer = FDB_LAYER_BRIDGE; layer <= FDB_LAYER_NEIGHBOUR; layer++) {
		struct fdb_entry absent = { .layer = (enum fdb_layer) layer,
					    .mac = mac_of("02:00:00:00:00:f9") };

		if (layer == FDB_LAYER_NEIGHBOUR)
			absent.ip = ip_of("198.51.100.8");
		CU_ASSERT_FALSE(look(scene, absent).found);
	}
	CU_ASSERT_EQUAL(kernel_look(scene->kernel, &scene->devices, lookups,
				    KERNEL_LOOKUPS_MAX + 1),
			-E2BIG);
	CU_ASSERT_EQUAL(kernel_look(scene->kernel, &scene->devices, lookups, 0), 0);
}

static void what_is_looked_up_is_what_a_dump_has(void)
{
	on_both(look_up);
}

/* --- what is not ours --- */

static void take_over(struct scene *scene)
{
	CU_ASSERT_TRUE_FATAL(run("bridge fdb add %s dev t0 master dynamic && bridge fdb add %s dev "
				 "vx100 master dynamic",
				 vm_text, other_text));
	CU_ASSERT_FALSE(bridge_shows(other_text, "vx100", "extern_learn"));
	want_port(scene, mac_of(vm_text), scene->devices.vxlan_ifindex, false);
	want_port(scene, mac_of(other_text), scene->devices.vxlan_ifindex, false);
	expect_settles(scene, 2);
	CU_ASSERT_TRUE(bridge_shows(vm_text, "vx100", "extern_learn"));
	CU_ASSERT_FALSE(bridge_shows(vm_text, "t0", ""));
	CU_ASSERT_TRUE(bridge_shows(other_text, "vx100", "extern_learn"));
}

static void what_was_learned_is_taken_over(void)
{
	on_both(take_over);
}

/* --- roaming --- */

static void speaks(struct scene *scene, int tap, const char *mac)
{
	uint8_t frame[FRAME_SIZE];

	/* IEEE 802 local experimental 1 */
	(void) numbered_frame(mac_broadcast, mac_of(mac), 0x88b5, 0, sizeof(frame), frame);
	CU_ASSERT_TRUE(tap_write(scene->taps[tap], frame, sizeof(frame)));
}

struct speech {
	struct scene *scene;
	int tap;
	const char *mac;
};

/* The MAC sends from the tap; true when the bridge has learned it there. */
static bool is_learned(void *userdata)
{
	const struct speech *speech = userdata;
	char port[] = { 't', (char) ('0' + speech->tap), '\0' };

	speaks(speech->scene, speech->tap, speech->mac);
	return bridge_shows(speech->mac, port, "");
}

static void roam(struct scene *scene)
{
	want_port(scene, mac_of(vm_text), scene->devices.vxlan_ifindex, false);
	want_port(scene, mac_of(pinned_text), scene->tap_index[0], true);
	expect_settles(scene, 2);

	/* A remote MAC that speaks here is here, and is no longer marked. */
	CU_ASSERT_TRUE(eventually(is_learned, &(struct speech) { scene, 1, vm_text }));
	CU_ASSERT_FALSE(bridge_shows(vm_text, "t1", "extern_learn"));
	CU_ASSERT_FALSE(bridge_shows(vm_text, "vx100", ""));

	/*
	 * A pin that speaks elsewhere stays. The one that speaks after it is learned, so it was
	 * heard.
	 */
	speaks(scene, 1, pinned_text);
	CU_ASSERT_TRUE(eventually(is_learned, &(struct speech) { scene, 1, other_text }));
	CU_ASSERT_TRUE(bridge_shows(pinned_text, "t0", "sticky"));
	CU_ASSERT_TRUE(bridge_shows(pinned_text, "t0", "extern_learn"));
	CU_ASSERT_FALSE(bridge_shows(pinned_text, "t1", ""));

	/* Once it is remote it roams again. */
	want_port(scene, mac_of(vm_text), scene->devices.vxlan_ifindex, false);
	want_port(scene, mac_of(pinned_text), scene->devices.vxlan_ifindex, false);
	expect_settles(scene, 2);
	CU_ASSERT_TRUE(eventually(is_learned, &(struct speech) { scene, 1, pinned_text }));
}

static void remote_macs_roam_and_pins_do_not(void)
{
	on_both(roam);
}

/* Nothing of ours ages: 0.1 s is long over when a learned one is gone. */
static bool other_is_gone(void *userdata)
{
	(void) userdata;
	return !bridge_shows(other_text, "t1", "");
}

static void age(struct scene *scene)
{
	want_port(scene, mac_of(vm_text), scene->devices.vxlan_ifindex, false);
	want_port(scene, mac_of(pinned_text), scene->tap_index[0], true);
	expect_settles(scene, 2);
	CU_ASSERT_TRUE(eventually(is_learned, &(struct speech) { scene, 1, other_text }));
	CU_ASSERT_TRUE(run("ip link set br100 type bridge ageing_time 10"));
	CU_ASSERT_TRUE(eventually(other_is_gone, NULL));
	CU_ASSERT_TRUE(bridge_shows(vm_text, "vx100", "extern_learn"));
	CU_ASSERT_TRUE(bridge_shows(pinned_text, "t0", "sticky"));
}

static void ours_do_not_age(void)
{
	on_both(age);
}

/* --- errors --- */

static void fail(struct scene *scene)
{
	const struct fdb_entry fine = {
		.layer = FDB_LAYER_VXLAN,
		.ifindex = scene->devices.vxlan_ifindex,
		.mac = mac_of(vm_text),
		.vtep = ip_of(scene->underlay->theirs),
	};
	struct fdb_entry absent = fine, nowhere = fine, no_device = fine, last = fine;
	size_t index = 99;

	absent.mac = mac_of(other_text);
	nowhere.vtep = (struct ip) { 0 };
	no_device.ifindex = 9999;
	last.mac = mac_of(pinned_text);

	const struct fdb_change changes[] = {
		{ FDB_OP_ADD, fine }, { FDB_OP_DELETE, absent }, { FDB_OP_DELETE, no_device },
		{ FDB_OP_ADD, no_device }, { FDB_OP_ADD, nowhere }, { FDB_OP_ADD, last },
	};

	/* gone is gone */
	CU_ASSERT_EQUAL(kernel_fdb_apply(scene->kernel, &scene->devices, changes, 3, &index), 0);
	CU_ASSERT_EQUAL(index, 99);
	CU_ASSERT_TRUE(kernel_fdb_apply(scene->kernel, &scene->devices, changes,
					ARRAY_SIZE(changes), NULL) < 0);
	CU_ASSERT_EQUAL(kernel_fdb_apply(scene->kernel, &scene->devices, changes, 4, &index),
			-ENODEV);
	CU_ASSERT_EQUAL(index, 3);
	CU_ASSERT_TRUE(vxlan_shows(vm_text, dst(scene->underlay->theirs)));
	CU_ASSERT_TRUE(vxlan_shows(pinned_text, dst(scene->underlay->theirs)));
	CU_ASSERT_FALSE(vxlan_shows(other_text, "dst"));
	CU_ASSERT_EQUAL(kernel_fdb_apply(scene->kernel, &scene->devices, NULL, 0, NULL), 0);
}

static void goes_on_after_an_error(void)
{
	on_both(fail);
}

static const struct netns_need needs[] = {
	{ "bridge", "ip link add br0 type bridge" },
	{ "VXLAN", "ip link add vx0 type vxlan id 1 dstport 4789" },
	{ "veth", "ip link add u0 type veth peer name u1" },
	{ "tap", "ip tuntap add t0 mode tap" },
};

NETNS_MAIN("kernel_fdb_ns", needs,
	UNIT_TEST(what_is_applied_is_what_is_there),
	UNIT_TEST(a_destination_may_have_its_port_and_vni),
	UNIT_TEST(as_many_as_there_are),
	UNIT_TEST(what_is_looked_up_is_what_a_dump_has),
	UNIT_TEST(what_was_learned_is_taken_over),
	UNIT_TEST(remote_macs_roam_and_pins_do_not),
	UNIT_TEST(ours_do_not_age),
	UNIT_TEST(goes_on_after_an_error))
