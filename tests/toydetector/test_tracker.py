import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from release import tracker

RNG = np.random.default_rng(5)


def _cosmics(n):
    curvature = RNG.choice([-1, 1], n) * tracker.CURVATURE_OF_1_GEV / RNG.uniform(2, 20, n)
    direction = RNG.uniform(-np.pi, np.pi, n)
    return np.stack(
        [RNG.uniform(-0.6, 0.6, n), direction, curvature, RNG.uniform(-0.4, 0.4, n), RNG.uniform(-0.5, 0.5, n)], axis=1
    )


def _from_beam(n):
    helix = _cosmics(n)
    helix[:, 0] = RNG.normal(0, 50e-6, n)
    return helix


@pytest.mark.parametrize(
    ("helix", "path"), [(_cosmics(300), tracker.COSMIC_PATH), (_from_beam(300), tracker.BEAM_PATH)]
)
def test_a_helix_crosses_the_layers_at_points_of_its_circle(helix, path):
    radius, outgoing = path
    phi, z, sine = tracker.crossing(helix, radius, outgoing)
    d0, phi0, curvature, z0, tanl = (helix[:, i, None] for i in range(5))
    center_x, center_y = -(d0 + 1 / curvature) * np.sin(phi0), (d0 + 1 / curvature) * np.cos(phi0)
    x, y = radius * np.cos(phi), radius * np.sin(phi)
    reached = np.abs(sine) < 0.99

    np.testing.assert_allclose((np.hypot(x - center_x, y - center_y) * np.abs(curvature))[reached], 1, rtol=1e-9)
    chord = np.hypot(x + d0 * np.sin(phi0), y - d0 * np.cos(phi0))
    arc = 2 / np.abs(curvature) * np.arcsin(np.abs(curvature) * chord / 2) * np.where(outgoing, 1, -1)
    np.testing.assert_allclose((z - z0)[reached], (tanl * arc)[reached], atol=1e-7)


@pytest.mark.parametrize(
    ("helix", "path"), [(_cosmics(200), tracker.COSMIC_PATH), (_from_beam(200), tracker.BEAM_PATH)]
)
def test_derivatives_of_the_fit_are_those_of_the_crossing_points(helix, path):
    radius, outgoing = path
    nothing = np.zeros((len(helix), len(radius)))
    _, derivatives = tracker._expand(helix, radius, outgoing, nothing, nothing)
    sine = tracker.crossing(helix, radius, outgoing)[2]
    reached = np.abs(sine) < 0.9
    for parameter, step in enumerate([1e-5, 1e-6, 1e-5, 1e-5, 1e-5]):
        up, down = helix.copy(), helix.copy()
        up[:, parameter] += step
        down[:, parameter] -= step
        (phi_up, z_up, _), (phi_down, z_down, _) = (tracker.crossing(each, radius, outgoing) for each in (up, down))
        n = len(radius)
        u_slope, z_slope = radius * (phi_up - phi_down) / (2 * step), (z_up - z_down) / (2 * step)
        np.testing.assert_allclose(derivatives[:, :n, parameter][reached], u_slope[reached], atol=1e-5)
        np.testing.assert_allclose(derivatives[:, n:, parameter][reached], z_slope[reached], atol=3e-3)


@pytest.mark.parametrize(
    ("helix", "path"), [(_cosmics(4000), tracker.COSMIC_PATH), (_from_beam(4000), tracker.BEAM_PATH)]
)
def test_fitted_helices_scatter_about_the_true_ones_as_their_covariance_says(helix, path):
    radius, outgoing = path
    phi, z, sine = tracker.crossing(helix, radius, outgoing)
    good = (np.abs(sine) < 0.9) & (RNG.random(phi.shape) > 0.03)
    enough = good.sum(axis=1) >= tracker.MIN_HITS
    phi = phi + RNG.normal(0, tracker.SIGMA_U, phi.shape) / radius
    z = z + RNG.normal(0, tracker.SIGMA_Z, z.shape)
    fit = tracker.fit_tracks(radius, outgoing, phi[enough], z[enough], good[enough])

    difference = fit.helix - helix[enough]
    difference[:, 1] = (difference[:, 1] + np.pi) % (2 * np.pi) - np.pi
    distance2 = np.einsum("ni,nij,nj->n", difference, np.linalg.inv(fit.covariance), difference)
    n = len(distance2)
    assert abs(distance2.mean() - 5) < 4 * np.sqrt(10 / n)
    assert abs(fit.chi2.sum() - fit.ndf.sum()) < 4 * np.sqrt(2 * fit.ndf.sum())


@given(layer=st.integers(0, tracker.N_LAYERS - 1), phi=st.floats(-10, 10))
def test_every_point_of_a_layer_lies_on_the_ladder_and_the_channel_that_read_it(layer, phi):
    ladder = tracker.ladder_at(np.array([layer]), np.array([phi]))
    away = (phi - tracker.LADDER_PHI[ladder] + np.pi) % (2 * np.pi) - np.pi
    u = away * tracker.LADDER_RADIUS[ladder]
    channel = tracker.channel_at(ladder, u)

    assert tracker.LADDER_LAYER[ladder] == layer
    assert np.abs(u) <= tracker.LADDER_WIDTH[ladder] / 2 + 1e-9
    assert channel // tracker.SEGMENTS_PER_LADDER == ladder
    assert tracker.CHANNEL_LAYER[channel] == layer
