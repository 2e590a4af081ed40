// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nveagent/withdrawals.h"
#include "tests/unit/unit.h"

enum { VNI = 100, AGAIN_MAX = 8 };

static const struct ip here = { AF_INET, { 192, 0, 2, 1 } },
		       there = { AF_INET6, { 0x20, 1, [15] = 2 } };

struct scene {
	struct withdrawals *withdrawals;
	struct vn *vn;
	uint64_t again[AGAIN_MAX]; /* generations of what is said again */
	size_t again_count;
};

static struct scene *scene_new(void)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	CU_ASSERT_PTR_NOT_NULL_FATAL(scene);
	scene->withdrawals = withdrawals_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(scene->withdrawals);
	CU_ASSERT_EQUAL_FATAL(vn_new(VNI, here, (struct vn_devices){ .vxlan = 7 }, &scene->vn), 0);
	return scene;
}

static struct scene *scene_free(struct scene *scene)
{
	withdrawals_free(scene->withdrawals);
	vn_free(scene->vn);
	free(scene);
	return NULL;
}
DEFINE_CLEANUP(struct scene, scene_free)

static struct mac mac_of(uint8_t number)
{
	return (struct mac){ { 2, 0, 0, 0, 0, number } };
}

static void note_again(void *userdata, const struct mapping *mapping)
{
	struct scene *scene = userdata;

	CU_ASSERT_TRUE_FATAL(scene->again_count < AGAIN_MAX);
	scene->again[scene->again_count++] = mapping->generation;
}

static void withdraw(struct scene *scene, uint8_t number)
{
	CU_ASSERT_EQUAL(withdrawals_add(scene->withdrawals, VNI, mac_of(number)), 0);
}

/*
 * The directory's snapshot in a new session: one mapping, or none. Returns how many withdrawals are
 * said again.
 */
static size_t snapshot(struct scene *scene, uint8_t number, struct ip vtep, uint64_t generation)
{
	struct mapping one = {
		.vni = VNI, .mac = mac_of(number), .vtep = vtep, .generation = generation
	};
	const struct nvo3_message message = { .kind = NVO3_UPDATE,
					      .mappings = &one,
					      .mapping_count = number ? 1 : 0,
					      .snapshot = true,
					      .snapshot_end = true };

	CU_ASSERT_EQUAL(vn_update(scene->vn, &message, NULL, NULL), 0);
	scene->again_count = 0;
	withdrawals_begin_session(scene->withdrawals);
	withdrawals_check(scene->withdrawals, scene->vn, here, note_again, scene);
	return scene->again_count;
}

static void is_said_again_while_the_directory_shows_it(void)
{
	_cleanup_(scene_freep) struct scene *scene = scene_new();

	withdraw(scene, 1);
	CU_ASSERT_EQUAL(snapshot(scene, 1, here, 5), 1);
	CU_ASSERT_EQUAL(scene->again[0], 5);
	CU_ASSERT_EQUAL(snapshot(scene, 1, here, 5), 1);
	CU_ASSERT_EQUAL(snapshot(scene, 0, here, 0), 0);
	CU_ASSERT_EQUAL(withdrawals_count(scene->withdrawals), 0);
	CU_ASSERT_EQUAL(snapshot(scene, 1, here, 6), 0); /* another one's, from then on */
}

static void is_done_when_another_nve_serves_it(void)
{
	_cleanup_(scene_freep) struct scene *scene = scene_new();

	withdraw(scene, 1);
	CU_ASSERT_EQUAL(snapshot(scene, 1, there, 6), 0);
	CU_ASSERT_EQUAL(withdrawals_count(scene->withdrawals), 0);
}

static void a_snapshot_of_the_same_session_proves_nothing(void)
{
	_cleanup_(scene_freep) struct scene *scene = scene_new();

	CU_ASSERT_EQUAL(snapshot(scene, 0, here, 0), 0);
	withdraw(scene, 1);
	withdrawals_check(scene->withdrawals, scene->vn, here, note_again, scene);
	CU_ASSERT_EQUAL(withdrawals_count(scene->withdrawals), 1);
	CU_ASSERT_TRUE(withdrawals_has(scene->withdrawals, VNI, mac_of(1)));
	CU_ASSERT_EQUAL(snapshot(scene, 1, here, 5), 1);
	CU_ASSERT_EQUAL(snapshot(scene, 0, here, 0), 0);
	CU_ASSERT_FALSE(withdrawals_has(scene->withdrawals, VNI, mac_of(1)));
}

static void knows_its_vni(void)
{
	_cleanup_(scene_freep) struct scene *scene = scene_new();

	CU_ASSERT_EQUAL(withdrawals_add(scene->withdrawals, VNI + 1, mac_of(1)), 0);
	CU_ASSERT_EQUAL(snapshot(scene, 1, here, 5), 0);
	CU_ASSERT_EQUAL(withdrawals_count(scene->withdrawals), 1);
	withdrawals_remove(scene->withdrawals, VNI, mac_of(1));
	CU_ASSERT_EQUAL(withdrawals_count(scene->withdrawals), 1);
	withdrawals_remove(scene->withdrawals, VNI + 1, mac_of(1));
	CU_ASSERT_EQUAL(withdrawals_count(scene->withdrawals), 0);
}

static void forgets_the_oldest_over_the_cap(void)
{
	_cleanup_(scene_freep) struct scene *scene = scene_new();

	withdraw(scene, 1);
	withdraw(scene, 2);
	withdraw(scene, 1); /* again: it is younger than 2 now */
	for (unsigned i = 0; i < WITHDRAWALS_MAX - 1; i++) {
		struct mac mac = { { 2, 1, 0, (uint8_t) (i >> 16), (uint8_t) (i >> 8),
				     (uint8_t) i } };

		CU_ASSERT_EQUAL_FATAL(withdrawals_add(scene->withdrawals, VNI, mac), 0);
	}
	CU_ASSERT_EQUAL(withdrawals_count(scene->withdrawals), WITHDRAWALS_MAX);
	CU_ASSERT_EQUAL(snapshot(scene, 1, here, 5), 1);
	CU_ASSERT_EQUAL(withdrawals_count(scene->withdrawals), 1);
}

UNIT_MAIN("withdrawals", UNIT_TEST(is_said_again_while_the_directory_shows_it),
	  UNIT_TEST(is_done_when_another_nve_serves_it),
	  UNIT_TEST(a_snapshot_of_the_same_session_proves_nothing), UNIT_TEST(knows_its_vni),
	  UNIT_TEST(forgets_the_oldest_over_the_cap))
