"""The parts of ``make_fleet.py``: archive, recipes, build, layout, mirror, pods."""
