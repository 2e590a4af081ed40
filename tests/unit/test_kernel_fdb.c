/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of forwarding entries as rtnetlink messages, and what is read of them.
 *
 * Expected are the attributes after the header, in the byte order of this host but for addresses
 * and UDP ports (include/uapi/linux/neighbour.h).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>

#include "nveagent/kernel_fdb.h"
#include "tests/unit/unit.h"

enum { BRIDGE = 2, TAP = 3, VXLAN = 7 };

static const struct mac nobody;
static const struct mac vm = { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } };

static const char *const vteps[] = { "192.0.2.2", "2001:db8::2" };

static struct ip ip_of(const char *text)
{
	struct ip ip = { 0 };

	CU_ASSERT_EQUAL_FATAL(ip_from_text(text, &ip), 0);
	return ip;
}

static struct fdb_entry behind_port(uint32_t ifindex, bool sticky)
{
	return (struct fdb_entry){
		.layer = FDB_LAYER_BRIDGE, .ifindex = ifindex, .mac = vm, .sticky = sticky
	};
}

static struct fdb_entry behind_vtep(struct mac mac, struct ip vtep, uint16_t port, uint32_t vni)
{
	return (struct fdb_entry){ .layer = FDB_LAYER_VXLAN,
				   .ifindex = VXLAN,
				   .mac = mac,
				   .vtep = vtep,
				   .port = port,
				   .vni = vni };
}

struct built {
	struct nl_msg *messages[KERNEL_FDB_MESSAGES_MAX];
	int count;
};

static void built_clear(struct built *built)
{
	for (int i = 0; i < built->count; i++)
		nlmsg_free(built->messages[i]);
}

static struct built build(enum fdb_op op, struct fdb_entry entry)
{
	const struct fdb_change change = { .op = op, .entry = entry };
	struct built built = { 0 };

	built.count = kernel_fdb_build(&change, built.messages);
	return built;
}

/* What a message must be, apart from its attributes. */
struct expected {
	uint16_t type, flags; /* besides NLM_F_REQUEST */
	uint32_t ifindex;
	uint16_t state;
	uint8_t entry_flags;
};

static void expect_bytes(struct nl_msg *message, struct expected expected,
			 const uint8_t *attributes, size_t size)
{
	const struct nlmsghdr *header = nlmsg_hdr(message);
	const struct ndmsg *nd = nlmsg_data(header);

	CU_ASSERT_EQUAL_FATAL(header->nlmsg_len, NLMSG_LENGTH(sizeof(*nd)) + size);
	CU_ASSERT_EQUAL(header->nlmsg_type, expected.type);
	CU_ASSERT_EQUAL(header->nlmsg_flags, NLM_F_REQUEST | expected.flags);
	CU_ASSERT_EQUAL(nd->ndm_family, AF_BRIDGE);
	CU_ASSERT_EQUAL(nd->ndm_ifindex, (int) expected.ifindex);
	CU_ASSERT_EQUAL(nd->ndm_state, expected.state);
	CU_ASSERT_EQUAL(nd->ndm_flags, expected.entry_flags);
	CU_ASSERT_EQUAL(nd->ndm_type, 0);
	CU_ASSERT_EQUAL(memcmp(nd + 1, attributes, size), 0);
}

/* 16 bits and 32 bits of this host, byte by byte. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST16(value) (value) & 0xff, (value) >> 8
#define HOST32(value) (value) & 0xff, (value) >> 8 & 0xff, (value) >> 16 & 0xff, (value) >> 24
#else
#define HOST16(value) (value) >> 8, (value) & 0xff
#define HOST32(value) (value) >> 24, (value) >> 16 & 0xff, (value) >> 8 & 0xff, (value) & 0xff
#endif

/* clang-format off */
#define LLADDR_VM \
	HOST16(10), HOST16(NDA_LLADDR), 0x52, 0x54, 0x00, 0xaa, 0x00, 0x10, 0, 0 /* padding */
#define LLADDR_NOBODY \
	HOST16(10), HOST16(NDA_LLADDR), 0, 0, 0, 0, 0, 0, 0, 0 /* padding */
#define DST_4 \
	HOST16(8), HOST16(NDA_DST), 192, 0, 2, 2
#define DST_6 \
	HOST16(20), HOST16(NDA_DST), 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2
#define PORT_8472 \
	HOST16(6), HOST16(NDA_PORT), 0x21, 0x18, 0, 0 /* padding */
#define VNI_5000 \
	HOST16(8), HOST16(NDA_VNI), HOST32(5000)
/* clang-format on */

static const uint8_t only_vm[] = { LLADDR_VM };

enum { MAKE = NLM_F_CREATE | NLM_F_REPLACE };

static void a_remote_mac_is_one_marked_message(void)
{
	_cleanup_(built_clear) struct built built = build(FDB_OP_ADD, behind_port(VXLAN, false));

	CU_ASSERT_EQUAL_FATAL(built.count, 1);
	expect_bytes(built.messages[0],
		     (struct expected){ RTM_NEWNEIGH, MAKE, VXLAN, NUD_REACHABLE,
					NTF_MASTER | NTF_EXT_LEARNED },
		     only_vm, sizeof(only_vm));
}

/* The first loses what may be sticky or static; the second puts the mark. */
static void a_replaced_remote_mac_is_two(void)
{
	_cleanup_(built_clear) struct built built =
		build(FDB_OP_REPLACE, behind_port(VXLAN, false));

	CU_ASSERT_EQUAL_FATAL(built.count, 2);
	expect_bytes(built.messages[0],
		     (struct expected){ RTM_NEWNEIGH, MAKE, VXLAN, NUD_REACHABLE, NTF_MASTER },
		     only_vm, sizeof(only_vm));
	expect_bytes(built.messages[1],
		     (struct expected){ RTM_NEWNEIGH, MAKE, VXLAN, NUD_REACHABLE,
					NTF_MASTER | NTF_EXT_LEARNED },
		     only_vm, sizeof(only_vm));
}

static void a_pin_is_sticky_before_it_is_marked(void)
{
	static const enum fdb_op ops[] = { FDB_OP_ADD, FDB_OP_REPLACE };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		_cleanup_(built_clear) struct built built = build(ops[i], behind_port(TAP, true));

		CU_ASSERT_EQUAL_FATAL(built.count, 2);
		expect_bytes(built.messages[0],
			     (struct expected){ RTM_NEWNEIGH, MAKE, TAP, NUD_NOARP,
						NTF_MASTER | NTF_STICKY },
			     only_vm, sizeof(only_vm));
		expect_bytes(built.messages[1],
			     (struct expected){ RTM_NEWNEIGH, MAKE, TAP, NUD_REACHABLE,
						NTF_MASTER | NTF_EXT_LEARNED },
			     only_vm, sizeof(only_vm));
	}
}

static void a_bridge_deletion_names_port_and_mac(void)
{
	for (int sticky = 0; sticky < 2; sticky++) {
		_cleanup_(built_clear) struct built built =
			build(FDB_OP_DELETE, behind_port(TAP, sticky));

		CU_ASSERT_EQUAL_FATAL(built.count, 1);
		expect_bytes(built.messages[0],
			     (struct expected){ RTM_DELNEIGH, 0, TAP, 0, NTF_MASTER }, only_vm,
			     sizeof(only_vm));
	}
}

static void expect_vxlan(enum fdb_op op, struct fdb_entry entry, int make_flags,
			 const uint8_t *attributes, size_t size)
{
	bool gone = op == FDB_OP_DELETE;
	_cleanup_(built_clear) struct built built = build(op, entry);
	struct expected expected = { RTM_NEWNEIGH, (uint16_t) (NLM_F_CREATE | make_flags), VXLAN,
				     NUD_NOARP | NUD_PERMANENT, NTF_SELF | NTF_EXT_LEARNED };

	if (gone)
		expected = (struct expected) { RTM_DELNEIGH, 0, VXLAN, 0, NTF_SELF };
	CU_ASSERT_EQUAL_FATAL(built.count, 1);
	expect_bytes(built.messages[0], expected, attributes, size);
}

static void a_destination_is_one_message(void)
{
	static const uint8_t plain_4[] = { LLADDR_VM, DST_4 }, plain_6[] = { LLADDR_VM, DST_6 };
	static const enum fdb_op ops[] = { FDB_OP_ADD, FDB_OP_REPLACE, FDB_OP_DELETE };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		expect_vxlan(ops[i], behind_vtep(vm, ip_of(vteps[0]), 0, 0), NLM_F_REPLACE, plain_4,
			     sizeof(plain_4));
		expect_vxlan(ops[i], behind_vtep(vm, ip_of(vteps[1]), 0, 0), NLM_F_REPLACE, plain_6,
			     sizeof(plain_6));
	}
}

/* The forward device's entries name another UDP port and VNI than its own. */
static void a_destination_may_have_its_port_and_vni(void)
{
	static const uint8_t port_4[] = { LLADDR_VM, DST_4, PORT_8472 };
	static const uint8_t vni_6[] = { LLADDR_VM, DST_6, VNI_5000 };
	static const uint8_t both_4[] = { LLADDR_VM, DST_4, PORT_8472, VNI_5000 };
	static const uint8_t both_6[] = { LLADDR_VM, DST_6, PORT_8472, VNI_5000 };
	static const enum fdb_op ops[] = { FDB_OP_ADD, FDB_OP_REPLACE, FDB_OP_DELETE };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		expect_vxlan(ops[i], behind_vtep(vm, ip_of(vteps[0]), 8472, 0), NLM_F_REPLACE,
			     port_4, sizeof(port_4));
		expect_vxlan(ops[i], behind_vtep(vm, ip_of(vteps[1]), 0, 5000), NLM_F_REPLACE,
			     vni_6, sizeof(vni_6));
		expect_vxlan(ops[i], behind_vtep(vm, ip_of(vteps[0]), 8472, 5000), NLM_F_REPLACE,
			     both_4, sizeof(both_4));
		expect_vxlan(ops[i], behind_vtep(vm, ip_of(vteps[1]), 8472, 5000), NLM_F_REPLACE,
			     both_6, sizeof(both_6));
	}
}

static void a_listed_vtep_is_appended(void)
{
	static const uint8_t plain_4[] = { LLADDR_NOBODY, DST_4 },
			     plain_6[] = { LLADDR_NOBODY, DST_6 };
	static const enum fdb_op ops[] = { FDB_OP_ADD, FDB_OP_DELETE };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		expect_vxlan(ops[i], behind_vtep(nobody, ip_of(vteps[0]), 0, 0), NLM_F_APPEND,
			     plain_4, sizeof(plain_4));
		expect_vxlan(ops[i], behind_vtep(nobody, ip_of(vteps[1]), 0, 0), NLM_F_APPEND,
			     plain_6, sizeof(plain_6));
	}
}

static void expect_refusal(enum fdb_op op, struct fdb_entry entry, int error)
{
	const struct fdb_change change = { .op = op, .entry = entry };
	struct nl_msg *messages[KERNEL_FDB_MESSAGES_MAX] = { NULL };

	CU_ASSERT_EQUAL(kernel_fdb_build(&change, messages), error);
	CU_ASSERT_PTR_NULL(messages[0]);
	CU_ASSERT_PTR_NULL(messages[1]);
}

static void refuses_what_the_kernel_cannot_hold(void)
{
	static const enum fdb_op ops[] = { FDB_OP_ADD, FDB_OP_REPLACE, FDB_OP_DELETE };
	static const struct mac group = { { 0x33, 0x33, 0, 0, 0, 1 } };
	struct fdb_entry to_zero = behind_port(TAP, true), to_group = to_zero, to_all = to_zero;

	to_zero.mac = nobody;
	to_group.mac = group;
	to_all.mac = mac_broadcast;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		expect_refusal(ops[i], to_zero, -EINVAL);
		expect_refusal(ops[i], to_group, -EINVAL);
		expect_refusal(ops[i], to_all, -EINVAL);
		expect_refusal(ops[i], behind_vtep(vm, (struct ip) { 0 }, 0, 0), -EINVAL);
		expect_refusal(ops[i], behind_vtep(nobody, (struct ip) { 0 }, 0, 0), -EINVAL);
	}
	for (size_t family = 0; family < ARRAY_SIZE(vteps); family++)
		expect_refusal(FDB_OP_REPLACE, behind_vtep(nobody, ip_of(vteps[family]), 0, 0),
			       -EOPNOTSUPP);
}

/* --- reading --- */

static const struct fdb_entry untouched = { .ifindex = 12345, .vni = 54321 };

static void expect_skipped(const struct nlmsghdr *header, uint32_t bridge, uint32_t vxlan)
{
	struct fdb_entry entry = untouched;

	CU_ASSERT_EQUAL(kernel_fdb_parse(header, bridge, vxlan, &entry), 0);
	CU_ASSERT_EQUAL(memcmp(&entry, &untouched, sizeof(entry)), 0);
}

static void reads_back_what_it_built(void)
{
	static const struct {
		uint16_t port;
		uint32_t vni;
	} overrides[] = { { 0, 0 }, { 8472, 0 }, { 0, 5000 }, { 8472, VNI_MAX } };
	static const struct mac macs[] = { { { 0 } }, { { 0x52, 0x54, 0, 0xaa, 0, 0x10 } } };

	for (size_t i = 0; i < ARRAY_SIZE(vteps) * ARRAY_SIZE(overrides) * ARRAY_SIZE(macs); i++) {
		struct fdb_entry want = behind_vtep(macs[i & 1], ip_of(vteps[i >> 1 & 1]),
						    overrides[i >> 2].port, overrides[i >> 2].vni);
		_cleanup_(built_clear) struct built built = build(FDB_OP_ADD, want);
		struct fdb_entry got = untouched;

		CU_ASSERT_EQUAL_FATAL(built.count, 1);
		CU_ASSERT_EQUAL_FATAL(
			kernel_fdb_parse(nlmsg_hdr(built.messages[0]), BRIDGE, VXLAN, &got), 1);
		CU_ASSERT_EQUAL(got.layer, FDB_LAYER_VXLAN);
		CU_ASSERT_EQUAL(got.ifindex, VXLAN);
		CU_ASSERT_EQUAL(mac_cmp(got.mac, want.mac), 0);
		CU_ASSERT_EQUAL(ip_cmp(got.vtep, want.vtep), 0);
		CU_ASSERT_EQUAL(got.port, want.port);
		CU_ASSERT_EQUAL(got.vni, want.vni);
		CU_ASSERT_TRUE(got.ours && !got.fixed && !got.sticky && !got.local);

		expect_skipped(nlmsg_hdr(built.messages[0]), BRIDGE, VXLAN + 1);
		expect_skipped(nlmsg_hdr(built.messages[0]), 0, 0);
	}
}

/* What vxlan_fdb_info() adds: clock ticks (USER_HZ) since a frame was last sent by the entry. */
static void reads_since_when_a_destination_is_idle(void)
{
	struct fdb_entry got = untouched;
	_cleanup_(built_clear) struct built built =
		build(FDB_OP_ADD, behind_vtep(vm, ip_of("2001:db8::2"), 0, 0));
	const struct nda_cacheinfo cache = { .ndm_used = (uint32_t) sysconf(_SC_CLK_TCK) * 42 + 1 };

	CU_ASSERT_EQUAL_FATAL(nlmsg_expand(built.messages[0], 4096), 0);
	CU_ASSERT_EQUAL_FATAL(nla_put(built.messages[0], NDA_CACHEINFO, sizeof(cache), &cache), 0);
	CU_ASSERT_EQUAL_FATAL(kernel_fdb_parse(nlmsg_hdr(built.messages[0]), BRIDGE, VXLAN, &got),
			      1);
	CU_ASSERT_EQUAL(got.idle_s, 42);
}

/* A notification as br_fdb.c's fdb_fill_info() makes it. */
static struct nl_msg *bridge_says(uint16_t state, uint8_t flags, uint32_t master)
{
	struct ndmsg nd = {
		.ndm_family = AF_BRIDGE, .ndm_ifindex = TAP, .ndm_state = state, .ndm_flags = flags
	};
	struct nl_msg *message = kernel_message(RTM_NEWNEIGH, 0, &nd, sizeof(nd));

	CU_ASSERT_PTR_NOT_NULL_FATAL(message);
	CU_ASSERT_EQUAL_FATAL(nla_put(message, NDA_LLADDR, MAC_SIZE, vm.octet), 0);
	if (master)
		CU_ASSERT_EQUAL_FATAL(nla_put_u32(message, NDA_MASTER, master), 0);
	return message;
}

static void tells_apart_what_the_bridge_has(void)
{
	static const struct {
		uint16_t state;
		uint8_t flags;
		bool sticky, ours, fixed, local;
	} cases[] = {
		{ NUD_REACHABLE, 0, .fixed = false },
		{ NUD_STALE, 0, .fixed = false },
		{ NUD_NOARP, 0, .fixed = true },
		{ NUD_PERMANENT, 0, .fixed = true, .local = true },
		{ NUD_REACHABLE, NTF_STICKY, .sticky = true, .fixed = true },
		{ NUD_REACHABLE, NTF_EXT_LEARNED, .ours = true },
		{ NUD_NOARP, NTF_EXT_LEARNED | NTF_STICKY, .ours = true, .sticky = true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(nlmsg_freep) struct nl_msg *message =
			bridge_says(cases[i].state, cases[i].flags, BRIDGE);
		struct fdb_entry entry = untouched;

		CU_ASSERT_EQUAL_FATAL(kernel_fdb_parse(nlmsg_hdr(message), BRIDGE, VXLAN, &entry),
				      1);
		CU_ASSERT_EQUAL(entry.layer, FDB_LAYER_BRIDGE);
		CU_ASSERT_EQUAL(entry.ifindex, TAP);
		CU_ASSERT_EQUAL(mac_cmp(entry.mac, vm), 0);
		CU_ASSERT_TRUE(ip_is_none(entry.vtep));
		CU_ASSERT_EQUAL(entry.sticky, cases[i].sticky);
		CU_ASSERT_EQUAL(entry.ours, cases[i].ours);
		CU_ASSERT_EQUAL(entry.fixed, cases[i].fixed);
		CU_ASSERT_EQUAL(entry.local, cases[i].local);
		CU_ASSERT_EQUAL(kernel_fdb_parse(nlmsg_hdr(message), 0, 0, &entry), 1);
	}
}

static void skips_what_is_of_no_concern(void)
{
	_cleanup_(nlmsg_freep) struct nl_msg *elsewhere = bridge_says(NUD_REACHABLE, 0, BRIDGE + 1);
	_cleanup_(nlmsg_freep) struct nl_msg *of_vlan = bridge_says(NUD_REACHABLE, 0, BRIDGE);
	_cleanup_(nlmsg_freep) struct nl_msg *no_port = bridge_says(NUD_PERMANENT, NTF_SELF, 0);
	_cleanup_(nlmsg_freep) struct nl_msg *arp = bridge_says(NUD_REACHABLE, 0, BRIDGE);

	CU_ASSERT_EQUAL_FATAL(nla_put_u16(of_vlan, NDA_VLAN, 10), 0);
	((struct ndmsg *) nlmsg_data(nlmsg_hdr(arp)))->ndm_family = AF_INET;
	expect_skipped(nlmsg_hdr(elsewhere), BRIDGE, VXLAN);
	expect_skipped(nlmsg_hdr(of_vlan), BRIDGE, VXLAN);
	expect_skipped(nlmsg_hdr(no_port), BRIDGE, VXLAN);
	expect_skipped(nlmsg_hdr(arp), BRIDGE, VXLAN);
}

/*
 * A message cut anywhere is skipped or read without what is missing, from a buffer that ends there.
 */
static void survives_every_truncation(void)
{
	_cleanup_(built_clear) struct built built =
		build(FDB_OP_ADD, behind_vtep(vm, ip_of(vteps[1]), 8472, 5000));
	const struct nlmsghdr *whole = nlmsg_hdr(built.messages[0]);
	const size_t needed = NLMSG_LENGTH(sizeof(struct ndmsg)) + NLA_HDRLEN + MAC_SIZE;

	for (size_t size = sizeof(*whole); size < whole->nlmsg_len; size++) {
		_cleanup_free_ struct nlmsghdr *cut = malloc(size);
		struct fdb_entry entry = untouched;

		CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
		memcpy(cut, whole, size);
		cut->nlmsg_len = (uint32_t) size;
		if (size < needed) {
			expect_skipped(cut, BRIDGE, VXLAN);
		} else {
			CU_ASSERT_EQUAL(kernel_fdb_parse(cut, BRIDGE, VXLAN, &entry), 1);
			CU_ASSERT_EQUAL(mac_cmp(entry.mac, vm), 0);
			CU_ASSERT_EQUAL(entry.vni, 0);
		}
	}
}

UNIT_MAIN("kernel_fdb",
	UNIT_TEST(a_remote_mac_is_one_marked_message),
	UNIT_TEST(a_replaced_remote_mac_is_two),
	UNIT_TEST(a_pin_is_sticky_before_it_is_marked),
	UNIT_TEST(a_bridge_deletion_names_port_and_mac),
	UNIT_TEST(a_destination_is_one_message),
	UNIT_TEST(a_destination_may_have_its_port_and_vni),
	UNIT_TEST(a_listed_vtep_is_appended),
	UNIT_TEST(refuses_what_the_kernel_cannot_hold),
	UNIT_TEST(reads_back_what_it_built),
	UNIT_TEST(reads_since_when_a_destination_is_idle),
	UNIT_TEST(tells_apart_what_the_bridge_has),
	UNIT_TEST(skips_what_is_of_no_concern),
	UNIT_TEST(survives_every_truncation))
