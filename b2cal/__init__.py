"""b2cal runs a particle detector's calibration loop without anyone pushing it."""
