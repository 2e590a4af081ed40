/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_tc.c - traffic control through rtnetlink; tc(8), net/sched/cls_bpf.c, act_mirred.c,
 * sch_tbf.c, sch_api.c.
 */
#include "nveagent/kernel_tc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/gen_stats.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <string.h>

static const uint32_t clsact_ingress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
static const uint32_t clsact_egress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);

static struct nl_msg *tc_message(int type, int flags, uint32_t ifindex, uint32_t parent,
				 uint32_t handle, uint32_t info)
{
	struct tcmsg header = {
		.tcm_family = AF_UNSPEC,
		.tcm_ifindex = (int) ifindex,
		.tcm_parent = parent,
		.tcm_handle = handle,
		.tcm_info = info,
	};

	return kernel_message(type, flags, &header, sizeof(header));
}

/* tcm_info of a filter request: preference and protocol. */
static uint32_t filter_info(uint16_t preference)
{
	return TC_H_MAKE((uint32_t) preference << 16, htons(ETH_P_ALL));
}

/* --- clsact --- */

int tc_clsact_ensure(struct kernel *kernel, uint32_t ifindex, bool *ret_made)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, TC_H_CLSACT,
			   TC_H_MAKE(TC_H_CLSACT, 0), 0);
	int r;

	if (!message || nla_put_string(message, TCA_KIND, "clsact") < 0)
		return -ENOMEM;

	r = kernel_request(kernel, message);
	if (r < 0 && r != -EEXIST)
		return r;
	*ret_made = r == 0;
	return 0;
}

static int count_one(void *userdata, const struct nlmsghdr *header)
{
	unsigned *count = userdata;

	*count += header->nlmsg_type == RTM_NEWTFILTER;
	return 0;
}

static int count_filters(struct kernel *kernel, uint32_t ifindex, uint32_t parent, unsigned *count)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		tc_message(RTM_GETTFILTER, 0, ifindex, parent, 0, 0);

	return message ? kernel_dump(kernel, message, count_one, count) : -ENOMEM;
}

static bool is_gone(int error)
{
	/* EINVAL: no such qdisc (sch_api.c, cls_api.c) */
	return error == -ENODEV || error == -ENOENT || error == -EINVAL;
}

int tc_clsact_remove_if_empty(struct kernel *kernel, uint32_t ifindex)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = NULL;
	unsigned count = 0;
	int r;

	r = count_filters(kernel, ifindex, clsact_ingress, &count);
	if (r == 0)
		r = count_filters(kernel, ifindex, clsact_egress, &count);
	if (r < 0 || count > 0)
		return is_gone(r) ? 0 : r;

	message = tc_message(RTM_DELQDISC, 0, ifindex, TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0), 0);
	r = message ? kernel_request(kernel, message) : -ENOMEM;
	return is_gone(r) ? 0 : r;
}

/* --- filters --- */

struct program {
	const struct sock_filter *code;
	uint16_t length;
};

static int put_program(struct nl_msg *message, struct program program)
{
	if (nla_put_u16(message, TCA_BPF_OPS_LEN, program.length) < 0 ||
	    nla_put(message, TCA_BPF_OPS, (int) (program.length * sizeof(*program.code)),
		    program.code) < 0)
		return -ENOMEM;
	return 0;
}

static uint32_t mac_first_four(struct mac mac)
{
	return (uint32_t) mac.octet[0] << 24 | (uint32_t) mac.octet[1] << 16 |
	       (uint32_t) mac.octet[2] << 8 | mac.octet[3];
}

static uint32_t mac_last_two(struct mac mac)
{
	return (uint32_t) mac.octet[4] << 8 | mac.octet[5];
}

/*
 * Begins a filter of ours; the caller appends the rest of its options, ends *ret_options and
 * sends.
 */
static struct nl_msg *filter_begin(uint32_t ifindex, uint16_t preference, uint32_t handle,
				   struct program program, struct nlattr **ret_options)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		tc_message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, ifindex, clsact_ingress,
			   handle, filter_info(preference));

	if (!message || nla_put_string(message, TCA_KIND, "bpf") < 0)
		return NULL;
	*ret_options = nla_nest_start(message, TCA_OPTIONS);
	if (!*ret_options || put_program(message, program) < 0)
		return NULL;
	return TAKE_PTR(message);
}

static int drop_filter(struct kernel *kernel, uint32_t ifindex, uint16_t preference,
		       uint32_t handle, struct program program)
{
	struct nlattr *options;
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		filter_begin(ifindex, preference, handle, program, &options);

	if (!message || nla_put_u32(message, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT) < 0)
		return -ENOMEM;
	nla_nest_end(message, options);
	return kernel_request(kernel, message);
}

int tc_drop_all(struct kernel *kernel, uint32_t ifindex)
{
	static const struct sock_filter code[] = {
		BPF_STMT(BPF_RET | BPF_K, TC_ACT_SHOT),
	};

	return drop_filter(kernel, ifindex, TC_PREFERENCE_LAST, 1,
			   (struct program){ code, ARRAY_SIZE(code) });
}

int tc_drop_strangers(struct kernel *kernel, uint32_t ifindex, uint32_t handle, struct mac mac)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct ethhdr, h_proto)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_RARP, 5, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct ethhdr, h_source)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac_first_four(mac), 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct ethhdr, h_source) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac_last_two(mac), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, (uint32_t) TC_ACT_UNSPEC),
		BPF_STMT(BPF_RET | BPF_K, TC_ACT_SHOT),
	};

	return drop_filter(kernel, ifindex, TC_PREFERENCE, handle,
			   (struct program){ code, ARRAY_SIZE(code) });
}

static int put_redirect(struct nl_msg *message, const struct tc_cookie *cookie)
{
	const struct tc_mirred mirred = {
		.action = TC_ACT_STOLEN,
		.eaction = TCA_EGRESS_REDIR,
		.ifindex = cookie->target,
	};
	struct nlattr *actions = nla_nest_start(message, TCA_BPF_ACT);
	struct nlattr *first = actions ? nla_nest_start(message, 1) : NULL;
	struct nlattr *options;

	if (!first || nla_put_string(message, TCA_ACT_KIND, "mirred") < 0)
		return -ENOMEM;
	options = nla_nest_start(message, TCA_ACT_OPTIONS);
	if (!options || nla_put(message, TCA_MIRRED_PARMS, sizeof(mirred), &mirred) < 0)
		return -ENOMEM;
	nla_nest_end(message, options);
	if (nla_put(message, TCA_ACT_COOKIE, sizeof(*cookie), cookie) < 0)
		return -ENOMEM;
	nla_nest_end(message, first);
	nla_nest_end(message, actions);
	return 0;
}

static int add_redirect(struct kernel *kernel, uint32_t ifindex, uint32_t handle, struct mac mac,
			const struct tc_cookie *cookie)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct ethhdr, h_dest)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac_first_four(mac), 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct ethhdr, h_dest) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac_last_two(mac), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX), /* matches: the actions follow */
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct nlattr *options;
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		filter_begin(ifindex, TC_PREFERENCE, handle,
			     (struct program){ code, ARRAY_SIZE(code) }, &options);

	if (!message || put_redirect(message, cookie) < 0)
		return -ENOMEM;
	nla_nest_end(message, options);
	return kernel_request(kernel, message);
}

int tc_filter_remove(struct kernel *kernel, uint32_t ifindex, uint32_t handle)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message = tc_message(
		RTM_DELTFILTER, 0, ifindex, clsact_ingress, handle, filter_info(TC_PREFERENCE));
	int r = message ? kernel_request(kernel, message) : -ENOMEM;

	return is_gone(r) ? 0 : r;
}

struct filter_iteration {
	int (*each)(void *userdata, const struct tc_filter *filter);
	void *userdata;
};

/* The cookie of the first action, if it has our form. */
static void read_cookie(struct nlattr *options, struct tc_filter *filter)
{
	struct nlattr *bpf[TCA_BPF_MAX + 1], *list[TCA_ACT_MAX_PRIO + 1], *action[TCA_ACT_MAX + 1],
		*cookie;

	if (nla_parse_nested(bpf, TCA_BPF_MAX, options, NULL) < 0 || !bpf[TCA_BPF_ACT] ||
	    nla_parse_nested(list, TCA_ACT_MAX_PRIO, bpf[TCA_BPF_ACT], NULL) < 0 || !list[1] ||
	    nla_parse_nested(action, TCA_ACT_MAX, list[1], NULL) < 0)
		return;

	cookie = action[TCA_ACT_COOKIE];
	if (!cookie || nla_len(cookie) != sizeof(filter->cookie))
		return;
	memcpy(&filter->cookie, nla_data(cookie), sizeof(filter->cookie));
}

static int take_filter(void *userdata, const struct nlmsghdr *header)
{
	const struct filter_iteration *iteration = userdata;
	const struct tcmsg *tc = nlmsg_data(header);
	struct tc_filter filter = { .handle = tc->tcm_handle };
	struct nlattr *a[TCA_MAX + 1];

	/* Each preference is also shown once as a whole, with handle 0. */
	if (header->nlmsg_type != RTM_NEWTFILTER || tc->tcm_handle == 0 ||
	    tc->tcm_info >> 16 != TC_PREFERENCE ||
	    nlmsg_parse((struct nlmsghdr *) header, sizeof(*tc), a, TCA_MAX, NULL) < 0 ||
	    !a[TCA_KIND] || nla_strcmp(a[TCA_KIND], "bpf") != 0)
		return 0;

	if (a[TCA_OPTIONS])
		read_cookie(a[TCA_OPTIONS], &filter);
	return iteration->each(iteration->userdata, &filter);
}

int tc_filter_each(struct kernel *kernel, uint32_t ifindex,
		   int (*each)(void *userdata, const struct tc_filter *filter), void *userdata)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		tc_message(RTM_GETTFILTER, 0, ifindex, clsact_ingress, 0, 0);
	struct filter_iteration iteration = { each, userdata };
	int r = message ? kernel_dump(kernel, message, take_filter, &iteration) : -ENOMEM;

	return is_gone(r) ? 0 : r;
}

int tc_redirect(struct kernel *kernel, uint32_t ifindex, uint32_t handle, struct mac mac,
		struct tc_cookie *cookie)
{
	bool made;
	int r = tc_clsact_ensure(kernel, ifindex, &made);

	if (r < 0)
		return r;
	r = add_redirect(kernel, ifindex, handle, mac, cookie);
	if (r < 0 && made)
		(void) tc_clsact_remove_if_empty(kernel, ifindex);
	return r;
}

/* --- the holding queue --- */

static int put_queue(struct nl_msg *message, const struct tc_queue *queue)
{
	const struct tc_tbf_qopt parameters = {
		.rate = {
			.linklayer = TC_LINKLAYER_ETHERNET, /* sch_tbf then needs no rate table */
			.overhead = queue->overhead,
			.rate = queue->rate > UINT32_MAX ? UINT32_MAX : (uint32_t) queue->rate,
		},
		.limit = TC_QUEUE_BYTES_MAX,
	};

	if (nla_put(message, TCA_TBF_PARMS, sizeof(parameters), &parameters) < 0 ||
	    nla_put_u32(message, TCA_TBF_BURST, queue->burst) < 0)
		return -ENOMEM;
	if (queue->rate > UINT32_MAX && nla_put_u64(message, TCA_TBF_RATE64, queue->rate) < 0)
		return -ENOMEM;
	return 0;
}

int tc_queue_build(uint32_t ifindex, bool make, const struct tc_queue *queue,
		   struct nl_msg **ret_message)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		tc_message(RTM_NEWQDISC, make ? NLM_F_CREATE | NLM_F_EXCL : 0, ifindex, TC_H_ROOT,
			   TC_QUEUE_HANDLE, 0);
	struct nlattr *options;

	if (!message || nla_put_string(message, TCA_KIND, "tbf") < 0)
		return -ENOMEM;
	options = nla_nest_start(message, TCA_OPTIONS);
	if (!options || put_queue(message, queue) < 0)
		return -ENOMEM;
	nla_nest_end(message, options);

	*ret_message = TAKE_PTR(message);
	return 0;
}

static bool holds_size(const struct nlattr *attribute, size_t size)
{
	return attribute && nla_len(attribute) >= (int) size;
}

static int take_counters(void *userdata, const struct nlmsghdr *header)
{
	struct tc_queue_counters *counters = userdata;
	struct nlattr *a[TCA_MAX + 1], *stats[TCA_STATS_MAX + 1];
	struct gnet_stats_queue queue;
	struct gnet_stats_basic basic;

	if (nlmsg_parse((struct nlmsghdr *) header, sizeof(struct tcmsg), a, TCA_MAX, NULL) < 0 ||
	    !a[TCA_STATS2] || nla_parse_nested(stats, TCA_STATS_MAX, a[TCA_STATS2], NULL) < 0 ||
	    !holds_size(stats[TCA_STATS_QUEUE], sizeof(queue)) ||
	    !holds_size(stats[TCA_STATS_BASIC],
			offsetof(struct gnet_stats_basic, packets) + sizeof(basic.packets)))
		return -EPROTO;

	memcpy(&queue, nla_data(stats[TCA_STATS_QUEUE]), sizeof(queue));
	memcpy(&basic, nla_data(stats[TCA_STATS_BASIC]),
	       offsetof(struct gnet_stats_basic, packets) + sizeof(basic.packets));
	*counters = (struct tc_queue_counters){ queue.drops, queue.backlog, queue.qlen,
						basic.packets };
	return 0;
}

/*
 * The answer to RTM_GETQDISC is a notification, which the asker gets only with NLM_F_ECHO
 * (sch_api.c, qdisc_notify()).
 */
int tc_queue_read(struct kernel *kernel, uint32_t ifindex, struct tc_queue_counters *ret_counters)
{
	_cleanup_(nlmsg_freep) struct nl_msg *message =
		tc_message(RTM_GETQDISC, NLM_F_ECHO, ifindex, TC_H_ROOT, TC_QUEUE_HANDLE, 0);
	struct tc_queue_counters counters = { .dropped = UINT64_MAX };
	int r = message ? kernel_get(kernel, message, take_counters, &counters) : -ENOMEM;

	if (r < 0 || counters.dropped == UINT64_MAX)
		return r < 0 ? r : -ENODATA;
	*ret_counters = counters;
	return 0;
}
