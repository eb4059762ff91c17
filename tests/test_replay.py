"""Replaying order files: the two result files, checkpoints, bad lines."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from abm.book.replay import MalformedLineError, replay_orders
from tests.book_streams import MODES, NEVER, random_stream
from tests.naive_book import NaiveBook

STREAM: list[dict[str, Any]] = [
    {"op": "limit", "id": 7, "side": "S", "price": 101, "qty": 5, "owner": "ann"},
    {"op": "limit", "id": -3, "side": "B", "price": 99, "qty": 4},
    {"op": "limit", "id": 7, "side": "S", "price": 102, "qty": 5},
    {"op": "stop", "id": 10, "side": "S", "qty": 2, "stop": 90},
    {"op": "stop_limit", "id": 9, "side": "B", "qty": 2, "stop": 200, "price": 201},
    {"op": "market", "id": 8, "side": "B", "qty": 3},
    {"op": "limit", "id": 11, "side": "S", "price": 101, "qty": 1},
    {"op": "replace", "id": 7, "qty": 1, "owner": "ann"},
    {"op": "cancel", "id": 12},
    {"op": "ioc", "id": 12, "side": "S", "qty": 6, "price": 99},
    {"op": "ioc", "id": 13, "side": "S", "qty": 6, "price": 0},
]


def write(path: Path, stream: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in stream))
    return path


def test_files(tmp_path: Path) -> None:
    replay_orders(write(tmp_path / "a.jsonl", STREAM), out_dir=tmp_path / "out")
    fills = (tmp_path / "out" / "fills.csv").read_text()
    assert fills == "7,8,101,3\n-3,12,99,4\n"
    text = "S,101,7,1;S,101,11,1;XB,200,201,9,2;XS,90,0,10,2;"
    assert json.loads((tmp_path / "out" / "book.json").read_text()) == {
        "resting": [{"side": "S", "price": 101, "qty": 2, "ids": [7, 11]}],
        "untriggered_stops": [
            {"id": 9, "side": "B", "stop": 200, "price": 201, "qty": 2},
            {"id": 10, "side": "S", "stop": 90, "price": None, "qty": 2},
        ],
        "rejected": [7, 12, 13],
        "expired": {"12": 2},
        "last_trade_price": 99,
        "messages": 11,
        "state_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def test_checkpoints(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", STREAM)
    result = replay_orders(path, checkpoint=5)
    assert [(point["messages"], point["fills"]) for point in result["checkpoints"]] == [(5, 0), (10, 2)]
    assert result["checkpoints"][1]["fills_sha256"] == hashlib.sha256(b"7,8,101,3\n-3,12,99,4\n").hexdigest()
    assert result["checkpoints"][1]["state_sha256"] == replay_orders(write(path, STREAM[:10]))["state_sha256"]
    del result["checkpoints"]
    assert result == replay_orders(write(path, STREAM))


@pytest.mark.parametrize("mode", MODES)
def test_like_the_naive_book(mode: str, tmp_path: Path) -> None:
    """Also with prices far apart: the replay works on ranks."""
    stream = []
    for m in random_stream(31, 3_000):
        if m["op"] in ("trigger", "refused"):
            continue
        row = {name: m[name] for name in ("op", "id", "price", "qty", "stop") if name in m}
        if m.get("price", 1) > 1020:
            row["price"] = m["price"] + 10**12
        if "side" in m:
            row["side"] = "B" if m["side"] > 0 else "S"
        if m.get("owner", -1) >= 0:
            row["owner"] = f"owner {m['owner']}"
        if m["op"] in ("stop", "market"):
            row.pop("price", None)
        if m["op"] in ("ioc", "fok") and m.get("price") == 0:
            del row["price"]
        stream.append(row)
    result = replay_orders(write(tmp_path / "a.jsonl", stream), self_trade=mode, out_dir=tmp_path / "out")
    naive = NaiveBook(mode)
    rejected = []
    for row in stream:
        owner = int(row["owner"].split()[1]) if "owner" in row else -1
        if not naive.run(row | {"side": {"B": 1, "S": -1, None: 1}[row.get("side")], "owner": owner}):
            rejected.append(row["id"])
    lines = "".join(",".join(map(str, fill[:2])) + f",{fill[2]},{fill[3]}\n" for fill in naive.fills)
    assert (tmp_path / "out" / "fills.csv").read_text() == lines
    assert result["rejected"] == rejected and NEVER in rejected
    assert result["state_sha256"] == naive.state_sha256()
    expired: dict[str, int] = {}
    for order, why, lots, *_ in naive.closes:
        if why in ("expired", "self-traded"):
            expired[str(order)] = expired.get(str(order), 0) + lots
    assert result["expired"] == expired
    assert result["last_trade_price"] == naive.last


def test_parquet_is_the_same(tmp_path: Path) -> None:
    names = ("op", "id", "side", "price", "qty", "owner", "stop")
    table = pa.table({name: [row.get(name) for row in STREAM] for name in names})
    pq.write_table(table, tmp_path / "a.parquet")
    expected = replay_orders(write(tmp_path / "a.jsonl", STREAM))
    assert replay_orders(tmp_path / "a.parquet") == expected
    floats = table.set_column(6, "stop", table["stop"].cast(pa.float64()))
    pq.write_table(floats, tmp_path / "b.parquet")
    assert replay_orders(tmp_path / "b.parquet") == expected


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "",
        "[1]",
        '{"op": "buy", "id": 1}',
        '{"id": 1}',
        '{"op": "limit", "id": 1, "side": "B", "qty": 1}',
        '{"op": "limit", "id": 1, "side": "B", "qty": 1.5, "price": 1}',
        '{"op": "limit", "id": 1, "side": "B", "qty": 1.0, "price": 1}',
        '{"op": "limit", "id": "1", "side": "B", "qty": 1, "price": 1}',
        '{"op": "limit", "id": true, "side": "B", "qty": 1, "price": 1}',
        '{"op": "limit", "id": 1, "side": "buy", "qty": 1, "price": 1}',
        '{"op": "limit", "id": 1, "side": "B", "qty": 1, "price": NaN}',
        '{"op": "limit", "id": 1, "side": "B", "qty": 1, "price": 99999999999999999999}',
        '{"op": "stop", "id": 1, "side": "B", "qty": 1}',
        '{"op": "cancel"}',
        '{"op": "cancel", "id": 1, "owner": 5}',
    ],
)
def test_malformed_lines(line: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", STREAM)
    path.write_text(path.read_text() + line + "\n" + json.dumps(STREAM[0]) + "\n")
    with pytest.raises(MalformedLineError, match=r"^line 12: ") as error:
        replay_orders(path, out_dir=tmp_path / "out")
    assert error.value.line == 12
    assert not (tmp_path / "out").exists()


def test_a_rejected_order_does_not_use_up_its_id(tmp_path: Path) -> None:
    order = {"op": "limit", "id": 1, "side": "B", "qty": 0, "price": 5}
    stream = [order, order | {"qty": 2}, {"op": "fok", "id": 2, "side": "B", "qty": 1}, order | {"id": 2, "qty": 1}]
    result = replay_orders(write(tmp_path / "a.jsonl", [*stream, stream[-1]]))
    assert result["rejected"] == [1, 2, 2]
    assert result["resting"] == [{"side": "B", "price": 5, "qty": 3, "ids": [1, 2]}]


def test_an_empty_file(tmp_path: Path) -> None:
    result = replay_orders(write(tmp_path / "a.jsonl", []))
    assert result["messages"] == 0 and result["last_trade_price"] is None


def test_bad_options(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", STREAM)
    with pytest.raises(ValueError, match="cancel-taker"):
        replay_orders(path, self_trade="never")
    with pytest.raises(ValueError, match="checkpoint"):
        replay_orders(path, checkpoint=-1)
    with pytest.raises(FileNotFoundError):
        replay_orders(tmp_path / "none.jsonl")
