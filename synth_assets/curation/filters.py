"""All filters by name. Importing this module is what makes them known."""

from synth_assets.curation import constraints, rules, sets
from synth_assets.curation.base import FILTERS, Context, Filter, keep

__all__ = ["FILTERS", "Context", "Filter", "constraints", "keep", "rules", "sets"]
