"""The collisions: an electron and a positron of equal energy meet in the middle of the detector. Energies in GeV."""

TOTAL_ENERGY = 10.58
BEAM_ENERGY = TOTAL_ENERGY / 2
ENERGY_SPREAD = 0.005  # of the total energy, from collision to collision
MUON_MASS = 0.1056583755
