"""Reads what `tape export --events` wrote with DuckDB, pyarrow and databento_dbn, and prints what they saw as JSON.

Usage: parquet.py DIR parquet|dbn. DIR is the output of the export. One object: by table (feed/schema) the number of rows,
the types by column as each reader names them, and every row with times as integer ns and prices as integer 1e-9.
"""

import json
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path


def exact(value):
    """A value as JSON keeps it exactly."""
    if isinstance(value, Decimal):
        scaled = value.scaleb(9)
        assert scaled == int(scaled), value
        return int(scaled)
    # The day of a partition is a date.
    return value.isoformat() if isinstance(value, date) else value


def by_pyarrow(table_dir):
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    files = sorted(str(path) for path in table_dir.rglob("*.parquet"))
    dataset = ds.dataset(files, partitioning=ds.partitioning(flavor="hive"), partition_base_dir=str(table_dir))
    table = dataset.to_table()
    types = {field.name: str(field.type) for field in table.schema}
    columns = []
    for name, column in zip(table.column_names, table.columns):
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        columns.append((name, [exact(value) for value in column.to_pylist()]))
    names = [name for name, _ in columns]
    rows = [dict(zip(names, values)) for values in zip(*(values for _, values in columns))]
    metadata = [pq.ParquetFile(file).metadata for file in files]
    groups = [[m.row_group(i).num_rows for i in range(m.num_row_groups)] for m in metadata]
    return {"types": types, "rows": rows, "groups": groups}


def by_duckdb(table_dir):
    import duckdb

    source = f"read_parquet('{table_dir}/**/*.parquet', hive_partitioning = true)"
    connection = duckdb.connect()
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    types = {name: kind for name, kind, *_ in described}
    # A time as an exact integer: Python's own datetime has only microseconds.
    chosen = ", ".join(
        f'epoch_ns("{name}") AS "{name}"' if kind.startswith("TIMESTAMP") else f'"{name}"'
        for name, kind in types.items()
    )
    cursor = connection.execute(f"SELECT {chosen} FROM {source}")
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, map(exact, row))) for row in cursor.fetchall()]
    return {"types": types, "rows": rows}


def by_databento(path):
    import databento_dbn
    import pyarrow as pa

    with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as file:
        data = file.read()
    decoder = databento_dbn.DBNDecoder()
    decoder.write(data)
    metadata, *records = decoder.decode()
    first = records[0]
    return {
        "version": metadata.version,
        "schema": str(metadata.schema),
        "dataset": metadata.dataset,
        "record": type(first).__name__,
        "rows": [
            {name: int(getattr(r, name)) for name in ("ts_recv", "ts_event", "price", "size", "order_id", "sequence")}
            for r in records
            if hasattr(r, "order_id")
        ],
        "count": len(records),
    }


def main():
    root, what = Path(sys.argv[1]), sys.argv[2]
    if what == "dbn":
        answer = {str(path.relative_to(root)): by_databento(path) for path in sorted(root.rglob("*.dbn.zst"))}
    else:
        answer = {}
        for table_dir in sorted(path for path in root.glob("*/*") if path.is_dir()):
            name = str(table_dir.relative_to(root))
            answer[name] = {"pyarrow": by_pyarrow(table_dir), "duckdb": by_duckdb(table_dir)}
    json.dump(answer, sys.stdout)


main()
