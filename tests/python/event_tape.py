"""Reads a file of an event tape with the official Python packages, and prints what they saw as JSON.

Usage: event_tape.py FILE. One object: schema, dataset, version and start of the metadata, symbols by instrument id, and each
record as databento_dbn sees it: [ts_event, ts_recv, price, order_id], integers. databento.DBNStore must see the same number, and
the same first and last times and prices in its table.
"""

import json
import sys

import databento
import databento_dbn


def main():
    path = sys.argv[1]
    decoder = databento_dbn.DBNDecoder()
    with open(path, "rb") as file:
        decoder.write(file.read())
    metadata, *records = decoder.decode()
    rows = [[r.ts_event, r.ts_recv, r.price, r.order_id] for r in records]

    store = databento.DBNStore.from_file(path)
    assert str(store.schema) == str(metadata.schema) == "mbo", (store.schema, metadata.schema)
    assert store.dataset == metadata.dataset
    table = store.to_df(price_type="fixed", pretty_ts=False, map_symbols=False).reset_index()
    seen = list(zip(table["ts_event"], table["ts_recv"], table["price"], table["order_id"]))
    assert [[int(value) for value in row] for row in seen] == rows

    symbols = {}
    for symbol, intervals in metadata.mappings.items():
        for interval in intervals:
            symbols[str(interval["symbol"])] = symbol
    seen = {
        "schema": str(metadata.schema),
        "dataset": metadata.dataset,
        "version": metadata.version,
        "start": metadata.start,
        "symbols": symbols,
        "rows": rows,
    }
    json.dump(seen, sys.stdout)


main()
