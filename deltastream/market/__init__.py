"""Market facts: sessions, contract terms, listed expiries and symbols, all from dated tables.

The tables lie in `deltastream/market/tables` and are read when first asked for. Sessions of a year
that the exchange has not announced yet are provisional (`Calendar.confirmed_through`); where a feed
lists expiries itself, prefer its list.
"""

from deltastream.market._calendars import Calendar, Session, calendar
from deltastream.market._contracts import Terms, expiry_instant, strike_step, terms
from deltastream.market._expiries import listed_expiries, root_expiries
from deltastream.market._products import Product, product, products
from deltastream.market._symbols import contract_symbol, is_product_symbol, parse_contract_symbol, parse_occ

__all__ = [
    "Calendar",
    "Product",
    "Session",
    "Terms",
    "calendar",
    "contract_symbol",
    "expiry_instant",
    "is_product_symbol",
    "listed_expiries",
    "parse_contract_symbol",
    "parse_occ",
    "product",
    "products",
    "root_expiries",
    "strike_step",
    "terms",
]
