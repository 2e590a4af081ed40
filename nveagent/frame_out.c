/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nveagent/frame_out.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "net/frames.h"

/* RFC 7348 section 5 */
struct vxlan_wire {
	uint8_t flags;
	uint8_t reserved1[3];
	uint8_t vni[3];
	uint8_t reserved2;
};
static_assert(sizeof(struct vxlan_wire) == 8, "RFC 7348 section 5");

enum {
	VXLAN_FLAG_I = 0x08, /* RFC 7348 section 5: the VNI is valid */
};

struct frame_out {
	int raw;	/* a packet socket */
	int udp;	/* bound to our VTEP; -1: none */
	uint8_t family; /* of it */
};

static int open_udp(struct ip vtep)
{
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_sockaddr(vtep, 0, &address);
	_cleanup_close_ int fd = socket(vtep.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *) &address, size) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int frame_out_new(struct ip vtep, struct frame_out **ret_out)
{
	_cleanup_(frame_out_freep) struct frame_out *out = calloc(1, sizeof(*out));

	if (!out)
		return -ENOMEM;
	out->family = vtep.family;
	out->udp = ip_is_none(vtep) ? -1 : open_udp(vtep);
	/* Protocol 0: it receives nothing. */
	out->raw = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (out->raw < 0)
		return -errno;
	if (out->udp < 0 && !ip_is_none(vtep))
		return out->udp;
	*ret_out = TAKE_PTR(out);
	return 0;
}

struct frame_out *frame_out_free(struct frame_out *out)
{
	if (!out)
		return NULL;
	if (out->raw >= 0)
		close(out->raw);
	if (out->udp >= 0)
		close(out->udp);
	free(out);
	return NULL;
}

int frame_out_device(struct frame_out *out, uint32_t ifindex, const uint8_t *frame, size_t size)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int) ifindex,
		.sll_halen = ETH_ALEN,
	};

	memcpy(to.sll_addr, frame, ETH_ALEN);
	memcpy(&to.sll_protocol, frame + offsetof(struct ethhdr, h_proto), sizeof(to.sll_protocol));
	return sendto(out->raw, frame, size, MSG_DONTWAIT, (const struct sockaddr *) &to,
		      sizeof(to)) < 0
		       ? -errno
		       : 0;
}

int frame_out_vtep(struct frame_out *out, uint32_t vni, struct ip vtep, uint16_t port,
		   const uint8_t *frame, size_t size)
{
	struct vxlan_wire header = {
		.flags = VXLAN_FLAG_I,
		.vni = { (uint8_t) (vni >> 16), (uint8_t) (vni >> 8), (uint8_t) vni },
	};
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *) frame, size } };
	struct sockaddr_storage to;
	struct msghdr message = {
		.msg_name = &to,
		.msg_namelen = endpoint_to_sockaddr(vtep, port, &to),
		.msg_iov = parts,
		.msg_iovlen = ARRAY_SIZE(parts),
	};

	if (size > FRAME_BUILD_SIZE)
		return -EMSGSIZE;
	if (out->udp < 0 || vtep.family != out->family)
		return -EAFNOSUPPORT;
	return sendmsg(out->udp, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
