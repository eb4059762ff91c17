"""Pictures of treasury companies: a sale beside the same run without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from abm.figures.treasury_run import draw_sale


def test_a_sale_beside_the_run_without_it(tmp_path: Path) -> None:
    n = 50
    time = pd.Timestamp("2025-11-13", tz="UTC") + pd.to_timedelta(np.arange(n) * 600, unit="s")
    plain = pd.DataFrame({"time": time, "spot_usd": 1e5, "fair_usd": 1e5, "liquidated_long_usd": 1e6})
    sale = plain.assign(spot_usd=1e5 - 100.0 * np.arange(n))
    sale["datcos.sold_btc"], sale["datcos.to_sell_btc"] = np.arange(n) * 10.0, 100.0
    sale["funds.custody_btc"] = 1e6 - np.arange(n)
    for funds in ("funds", ""):
        path = draw_sale(
            sale, plain, "datcos", funds, "A forced sale", ["Made-up numbers."], tmp_path / f"a{funds}.png"
        )
        assert path.stat().st_size > 10_000
