/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * closer.h - close(2) for descriptors whose closing takes long. That of a packet socket awaits an
 * RCU grace period (packet_release() in net/packet/af_packet.c): 20 ms and more, in which a
 * program with one thread would do nothing else.
 */
#ifndef REHOME_COMMON_CLOSER_H
#define REHOME_COMMON_CLOSER_H

/*
 * Closes @fd, soon, in a thread of its own that ends with it; the caller has given it up. A
 * negative @fd is accepted. Where no thread can be made it is closed before this returns.
 */
void closer_close(int fd);

#endif
