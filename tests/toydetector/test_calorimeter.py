import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from release import calorimeter

CRYSTALS = st.integers(0, calorimeter.N_CRYSTALS - 1)
INSIDE = st.floats(-0.49, 0.49)


def _point(crystal, along, around):
    z = (crystal // calorimeter.N_COLUMNS + 0.5 + along) * calorimeter.ROW_PITCH - calorimeter.HALF_LENGTH
    phi = (crystal % calorimeter.N_COLUMNS + 0.5 + around) * calorimeter.COLUMN_ANGLE
    return np.array([phi]), np.array([z])


@given(CRYSTALS, INSIDE, INSIDE, st.integers(-2, 2))
def test_a_point_on_a_crystal_is_found_there_whatever_turns_its_azimuth_has_made(crystal, along, around, turns):
    phi, z = _point(crystal, along, around)
    assert calorimeter.crystal_at(phi + turns * 2 * np.pi, z) == crystal


def test_no_crystal_stands_beyond_the_ends_of_the_barrel():
    assert list(calorimeter.crystal_at(np.zeros(2), np.array([-1.01, 1.01]))) == [-1, -1]


@given(CRYSTALS)
def test_a_cluster_holds_its_seed_in_the_middle_and_each_neighbour_once(crystal):
    cluster = calorimeter.cluster_around(np.array([crystal]))[0]
    there = cluster[cluster >= 0]
    row = crystal // calorimeter.N_COLUMNS

    assert cluster[calorimeter.SEED] == crystal
    assert len(set(there)) == len(there) == (6 if row in (0, calorimeter.N_ROWS - 1) else 9)
    apart = (there % calorimeter.N_COLUMNS - crystal % calorimeter.N_COLUMNS + 1) % calorimeter.N_COLUMNS
    assert np.all(apart <= 2)
    assert np.all(np.abs(there // calorimeter.N_COLUMNS - row) <= 1)


@given(CRYSTALS, INSIDE, INSIDE)
def test_shares_of_a_shower_add_up_and_are_largest_where_it_began(crystal, along, around):
    shares = calorimeter.shower_shares(np.array([crystal]), *_point(crystal, along, around))[0]
    assert np.isclose(shares.sum(), 1)
    assert shares.argmax() == calorimeter.SEED


@given(CRYSTALS, INSIDE, INSIDE)
def test_shares_are_mirrored_with_the_point(crystal, along, around):
    shares, mirrored = (
        calorimeter.shower_shares(np.array([crystal]), *_point(crystal, sign * along, sign * around))[0]
        for sign in (1, -1)
    )
    np.testing.assert_allclose(shares, mirrored[::-1], atol=1e-12)


def test_a_crate_reads_48_neighbouring_crystals():
    crates, sizes = np.unique(calorimeter.CRATE, return_counts=True)
    assert list(crates) == list(range(72))
    assert set(sizes) == {48}


def test_nothing_comes_from_a_masked_or_missing_crystal():
    mask = np.zeros(calorimeter.N_CRYSTALS, dtype=np.uint8)
    mask[7] = 1
    constants = {"ChannelMask": {"crystal": mask}, "Pedestals": {"pedestal": np.full(calorimeter.N_CRYSTALS, 100.0)}}
    amplitude, good = calorimeter.amplitudes(np.array([6, 7, -1]), np.array([150, 150, 0]), constants)
    assert list(amplitude) == [50, 0, 0]
    assert list(good) == [True, False, False]
