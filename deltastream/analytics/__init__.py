"""What is computed from market messages: enrichment and surfaces."""

from deltastream.analytics.enrich import YEAR_NS, enrich
from deltastream.analytics.settings import AnalyticsSettings
from deltastream.analytics.surface import surface, surface_slice

__all__ = ["YEAR_NS", "AnalyticsSettings", "enrich", "surface", "surface_slice"]
