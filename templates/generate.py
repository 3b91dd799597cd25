#!/usr/bin/env python3
"""Writes the Zabbix templates beside this file: what they hold is the tables below, how it is said in XML the functions after them.

    templates/generate.py           write the templates
    templates/generate.py --check   fail if a template is not what would be written

The format is that of Zabbix 5.0, which 5.0, 6.0 and 7.0 import. It has no place for UUIDs: 5.4 and later derive them from
the names and keys, always the same ones, so that an import over an earlier one changes nothing.
"""

import sys
from collections import namedtuple
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

GROUP = "Templates/Applications"
VALUE_MAP = "Courier push"

# A value of a series. Without `discover`, the prototype is there and makes no items until it is switched on.
Field = namedtuple("Field", "name title units discover", defaults=("", True))
# A discovery rule: the type of its series, and what it says on the screen.
Rule = namedtuple("Rule", "type plural fields")
# A graph for each discovered series of a type on the dashboard.
Panel = namedtuple("Panel", "type field")
Template = namedtuple("Template", "name source source_help prefix rules panels notes")

VALUE = Field("value", "value")
COUNT = Field("count", "count")
SUM = Field("sum", "sum")

# Dropwizard's statistics of a distribution: those that one looks at, and those that are there to be switched on.
DISTRIBUTION = [
    Field("min", "min"),
    Field("mean", "mean"),
    Field("max", "max"),
    Field("p50", "p50"),
    Field("p75", "p75"),
    Field("p95", "p95"),
    Field("p98", "p98", discover=False),
    Field("p99", "p99"),
    Field("p999", "p99.9"),
    Field("stddev", "standard deviation", discover=False),
]

RATES = [
    Field("m1_rate", "rate over 1 minute"),
    Field("m5_rate", "rate over 5 minutes"),
    Field("m15_rate", "rate over 15 minutes", discover=False),
    Field("mean_rate", "mean rate", discover=False),
]

TEMPLATES = [
    Template(
        name="Dropwizard",
        source="http://127.0.0.1:8081/metrics",
        source_help="Where the application serves its Dropwizard metrics as JSON",
        prefix="",
        rules=[
            # Eleven of a timer's fifteen values make items.
            Rule("timer", "timers", [COUNT, *RATES, *DISTRIBUTION]),
            Rule("gauge", "gauges", [VALUE]),
            Rule("counter", "counters", [COUNT]),
            Rule("meter", "meters", [COUNT, *RATES]),
            Rule("histogram", "histograms", [COUNT, *DISTRIBUTION]),
            Rule("text", "texts", [VALUE]),
        ],
        panels=[Panel("timer", "p99"), Panel("timer", "m1_rate"), Panel("meter", "m1_rate"), Panel("gauge", "value")],
        notes="Durations and rates are in the units of the application (duration_units and rate_units in its JSON), which Zabbix is not told.",
    ),
    Template(
        name="Prometheus",
        source="http://127.0.0.1:9100/metrics",
        source_help="Where the application or exporter serves its metrics in Prometheus' text format or as OpenMetrics",
        prefix="prom.",
        rules=[
            Rule("gauge", "gauges", [VALUE]),
            Rule("counter", "counters", [COUNT]),
            Rule("histogram", "histograms", [COUNT, SUM]),
            Rule("summary", "summaries", [COUNT, SUM]),
            Rule("untyped", "untyped metrics", [VALUE]),
            Rule("bucket", "histogram buckets", [COUNT]),
            Rule("quantile", "summary quantiles", [VALUE]),
        ],
        panels=[Panel("gauge", "value"), Panel("counter", "count"), Panel("histogram", "count"), Panel("quantile", "value")],
        notes="A histogram makes one item for each of its buckets: where that is too much, disable the rule of the buckets.",
    ),
    Template(
        name="Actuator",
        source="http://127.0.0.1:8080/actuator/metrics",
        source_help="Where the application serves Spring Boot Actuator's list of metrics",
        prefix="actuator.",
        rules=[
            Rule(
                "timer",
                "timers",
                [
                    COUNT,
                    Field("total", "total time", "{#UNIT}"),
                    Field("max", "max", "{#UNIT}"),
                    Field("active", "active tasks"),
                    Field("duration", "duration of active tasks", "{#UNIT}"),
                ],
            ),
            Rule("gauge", "gauges", [VALUE]),
            Rule("counter", "counters", [COUNT]),
            Rule("summary", "summaries", [COUNT, Field("total", "total"), Field("max", "max")]),
            Rule("untyped", "untyped metrics", [VALUE]),
        ],
        panels=[Panel("timer", "max"), Panel("timer", "count"), Panel("gauge", "value"), Panel("counter", "count")],
        notes="A timer has count, total time and max; a long task timer has active tasks and their duration.",
    ),
]

# What courier.stats tells of the last push: field, title, value type, units, what it means.
STATS = [
    ("status", "status", "CHAR", "", "ok, timeout or failed."),
    ("error", "last error", "TEXT", "", "Why the last push failed; empty when it went through."),
    ("processed", "values processed", "UNSIGNED", "", "Values that Zabbix took."),
    (
        "failed",
        "values refused",
        "UNSIGNED",
        "",
        "Values that Zabbix refused: mostly those that have no item, because no prototype asks for them or discovery has not made it yet.",
    ),
    ("skipped", "values skipped", "UNSIGNED", "", "Values that are no numbers, or whose key Zabbix cannot hold."),
    ("values", "values sent", "UNSIGNED", "", "Values that were sent."),
    ("bytes", "size of the metrics", "UNSIGNED", "B", "Size of what the application answered."),
    ("fetch", "time to fetch", "FLOAT", "ms", "Time that the application took to answer."),
    ("parse", "time to parse", "FLOAT", "ms", "Time to read the metrics."),
    ("send", "time to send", "FLOAT", "ms", "Time to send the values and to get Zabbix's answer."),
    ("server", "time on the server", "FLOAT", "ms", "Time that Zabbix says it spent on the values."),
]


class Names:
    """The names and keys of one template."""

    def __init__(self, template):
        self.template = f"Concierge Courier {template.name}"
        self.courier = f"Courier {template.name}"
        self._macro = f"COURIER.{template.name.upper()}"
        self._prefix = template.prefix
        source, include, exclude = self.macro("SOURCE"), self.macro("INCLUDE"), self.macro("EXCLUDE")
        self.discover = f"courier.discover[{source},,{include},{exclude}]"
        parameters = [source, "", "{HOST.HOST}", include, exclude] + ([template.prefix] if template.prefix else [])
        self.push = f"courier.push[{','.join(parameters)}]"

    def macro(self, name):
        return f"{{${self._macro}.{name}}}"

    def stats(self, field):
        return f"courier.stats[{self.macro('SOURCE')},{field}]"

    def rule(self, rule):
        return f"courier.discovered[{self.macro('SOURCE')},{rule.type}]"

    def value(self, rule_type, field):
        return f"{rule_type}[{self._prefix}{{#{rule_type.upper()}}}.{field}]"


def export(template):
    names = Names(template)
    return {
        "version": "5.0",
        "groups": [{"name": GROUP}],
        "templates": [
            {
                "template": names.template,
                "name": names.template,
                "description": "\n".join(
                    [
                        f"Discovers and receives the metrics of one source through Concierge's agent module. {template.notes}",
                        "Needs: zabbix_agentd with libcourier.so (or agent 2 with the command courier), and a source that its courier.toml allows.",
                        f"Keys are prefixed with \"{template.prefix}\"." if template.prefix else "Keys have no prefix.",
                    ]
                ),
                "groups": [{"name": GROUP}],
                "applications": [{"name": names.courier}] + [{"name": f"{template.name} {rule.plural}"} for rule in template.rules],
                "items": items(names),
                "discovery_rules": [discovery_rule(names, template, rule) for rule in template.rules],
                "macros": macros(names, template),
                "screens": [courier_screen(names), metrics_screen(names, template)],
            }
        ],
        "triggers": wider_triggers(names),
        "graphs": graphs(names),
        "value_maps": [
            {
                "name": VALUE_MAP,
                "mappings": [{"value": "-1", "newvalue": "timeout"}, {"value": "0", "newvalue": "failed"}],
            }
        ],
    }


def macros(names, template):
    table = [
        ("SOURCE", template.source, f"{template.source_help}: a URL, or a name from courier.toml. A prefix set there must be the template's own."),
        ("INCLUDE", "", "Regular expression: only metrics whose name matches. Empty: all."),
        ("EXCLUDE", "", "Regular expression: no metrics whose name matches. Empty: none is left out."),
        ("INTERVAL.PUSH", "30s", "How often the values are delivered."),
        ("INTERVAL.DISCOVERY", "2m", "How often the metrics are discovered; a new host may wait this long for its items. Zabbix works on the list only when it changed, and once an hour."),
        ("SLOW", "1000", "Milliseconds; three pushes in a row that take longer are a problem. Below the agent's Timeout."),
        ("NODATA", "10m", "This long without any push is a problem."),
        (
            "REFUSED",
            "15m",
            "This long with every value refused, over at least two pushes, is a problem. Longer than discovery and Zabbix's configuration cache need on a new host.",
        ),
    ]
    return [{"macro": names.macro(name), "value": value, "description": description} for name, value, description in table]


def items(names):
    application = [{"name": names.courier}]
    discover = {
        "name": f"{names.courier}: discover",
        "key": names.discover,
        "delay": names.macro("INTERVAL.DISCOVERY"),
        "history": "0",
        "trends": "0",
        "value_type": "TEXT",
        "description": "The list of the application's metrics, for the discovery rules. It is not stored.",
        "applications": application,
        "preprocessing": [{"type": "DISCARD_UNCHANGED_HEARTBEAT", "params": "1h"}],
    }
    push = {
        "name": f"{names.courier}: push",
        "key": names.push,
        "delay": names.macro("INTERVAL.PUSH"),
        "history": "7d",
        "value_type": "FLOAT",
        "units": "ms",
        "description": "Fetches the application's metrics and delivers all of them in one request. The time that all of it took; -1 for a timeout, 0 for a failure.",
        "applications": application,
        "valuemap": {"name": VALUE_MAP},
        "triggers": push_triggers(names),
    }
    return [discover, push] + [stats_item(names, *row) for row in STATS]


def stats_item(names, field, title, value_type, units, description):
    text = value_type in ("CHAR", "TEXT")
    item = {
        "name": f"{names.courier}: {title}",
        "key": names.stats(field),
        "delay": names.macro("INTERVAL.PUSH"),
        "history": "7d",
        "value_type": value_type,
        "description": f"{description} Of the last push; not supported before the first one.",
        "applications": [{"name": names.courier}],
    }
    if units:
        item["units"] = units
    if text:
        item["trends"] = "0"
        item["preprocessing"] = [{"type": "DISCARD_UNCHANGED_HEARTBEAT", "params": "1h"}]
    return item


def push_triggers(names):
    slow, nodata = names.macro("SLOW"), names.macro("NODATA")
    return [
        # The third last value makes the expression unknown, not true, while there are fewer than three.
        trigger(
            names,
            f"{{min(#3)}}>{slow} and {{last(#3)}}>{slow}",
            "delivering metrics is slow",
            "WARNING",
            f"Three pushes in a row took longer than {slow} ms. The items \"time to ...\" tell whether the application or Zabbix is slow.",
        ),
        trigger(
            names,
            f"{{nodata({nodata})}}=1",
            "no push for a while",
            "WARNING",
            f"No push was made for {nodata}: the agent does not answer, or the push item is not supported (its own error says why).",
        ),
    ]


def wider_triggers(names):
    """Those over several items, which stand outside of them."""
    hold = names.macro("REFUSED")

    def of(key, function):
        return f"{{{names.template}:{key}.{function}}}"

    error, processed, failed = (names.stats(field) for field in ("error", "processed", "failed"))
    return [
        trigger(
            names,
            # The reason is an item of its own: waiting for it puts it into the notification. Without one, three failures tell.
            f"({of(names.push, 'last()')}<=0 and {of(error, 'strlen()')}>0) or ({of(names.push, 'max(#3)')}<=0 and {of(names.push, 'last(#3)')}<=0)",
            "metrics are not delivered",
            "AVERAGE",
            f"The last push did not get through. The reason stands in the item \"{names.courier}: last error\" and in the agent's log.",
            # As a whole: without regsub, Zabbix shows twenty characters of a text.
            opdata='{ITEM.LASTVALUE1}. {{ITEM.LASTVALUE2}.regsub("(.*)", \\1)}',
        ),
        trigger(
            names,
            # The value of that long ago makes the expression unknown, not true, on a host that is younger.
            f"{of(processed, f'max({hold})')}=0 and {of(failed, f'min({hold})')}>0 and {of(failed, f'last(#1,{hold})')}>0",
            "every value is refused",
            "WARNING",
            f"The pushes get through, and for {hold} Zabbix has refused all of their values: there are no items for them (are the discovery rules "
            "supported? does the source have another prefix?), the host name that the agent sends is another one, or the items' allowed hosts or encryption forbid it.",
            opdata="{ITEM.LASTVALUE2} refused",
        ),
    ]


def trigger(names, expression, name, priority, description, opdata="{ITEM.LASTVALUE1}"):
    return {
        "expression": expression,
        "name": f"{names.courier}: {name}",
        "opdata": opdata,
        "priority": priority,
        "description": description,
        "tags": [{"tag": "courier", "value": names.courier.split()[-1].lower()}],
    }


def discovery_rule(names, template, rule):
    return {
        "name": f"{template.name} {rule.plural}",
        "type": "DEPENDENT",
        "key": names.rule(rule),
        "delay": "0",
        "filter": {"conditions": [{"macro": "{#TYPE}", "value": f"^{rule.type}$", "formulaid": "A"}]},
        "lifetime": "7d",
        "item_prototypes": [item_prototype(names, template, rule, field) for field in rule.fields],
        "master_item": {"key": names.discover},
    }


def item_prototype(names, template, rule, field):
    text = rule.type == "text"
    alone = rule.fields == [field]
    prototype = {
        "name": "{#TITLE}" if alone else f"{{#TITLE}}: {field.title}",
        "type": "TRAP",
        "key": names.value(rule.type, field.name),
        "delay": "0",
        "history": "7d",
        "value_type": "TEXT" if text else "FLOAT",
        "applications": [{"name": f"{template.name} {rule.plural}"}],
    }
    if text:
        prototype["trends"] = "0"
    if field.units:
        prototype["units"] = field.units
    if not field.discover:
        prototype["discover"] = "NO_DISCOVER"
    return prototype


def graphs(names):
    return [
        graph(names, "time of a push", [(names.push, "1F77B4"), (names.stats("fetch"), "2CA02C"), (names.stats("parse"), "9467BD"), (names.stats("send"), "FF7F0E")]),
        graph(names, "values of a push", [(names.stats("processed"), "2CA02C"), (names.stats("failed"), "D62728"), (names.stats("skipped"), "FF7F0E")]),
    ]


def graph(names, name, lines):
    return {
        "name": f"{names.courier}: {name}",
        "graph_items": [
            {"sortorder": str(order), "color": color, "item": {"host": names.template, "key": key}}
            for order, (key, color) in enumerate(lines)
        ],
    }


# Resource types of 5.0's screens, which 6.0 and 7.0 make dashboards of. (Plain text is not among them: importing one stops 7.0.22.)
GRAPH, PROTOTYPE_GRAPH = "0", "19"


def courier_screen(names):
    return screen(
        names.courier,
        [
            screen_item(GRAPH, {"name": f"{names.courier}: {graph}", "host": names.template}, x, 0, height=340)
            for x, graph in enumerate(["time of a push", "values of a push"])
        ],
    )


def metrics_screen(names, template):
    return screen(
        f"{template.name} metrics",
        [
            screen_item(PROTOTYPE_GRAPH, {"key": names.value(*panel), "host": names.template}, number % 2, number // 2)
            for number, panel in enumerate(template.panels)
        ],
    )


def screen(name, contents):
    rows = 1 + max(int(item["y"]) for item in contents)
    return {"name": name, "hsize": "2", "vsize": str(rows), "screen_items": contents}


def screen_item(resourcetype, resource, x, y, height=200):
    return {
        "resourcetype": resourcetype,
        "style": "0",
        "resource": resource,
        "width": "560",
        "height": str(height),
        "x": str(x),
        "y": str(y),
        "colspan": "1",
        "rowspan": "1",
        "elements": "0",
        "valign": "0",
        "halign": "0",
        "dynamic": "0",
        "sort_triggers": "0",
        "url": "",
        "application": "",
        "max_columns": "1",
    }


SINGULAR = {"discovery_rules": "discovery_rule", "item_prototypes": "item_prototype", "preprocessing": "step"}


def xml(tag, value, depth=0):
    """A list is a list of elements named by the singular of its own."""
    indent = "    " * depth
    if isinstance(value, str):
        return f"{indent}<{tag}>{escape(value)}</{tag}>\n" if value else f"{indent}<{tag}/>\n"
    if isinstance(value, list):
        children = [(SINGULAR.get(tag, tag.removesuffix("s")), child) for child in value]
    else:
        children = value.items()
    return f"{indent}<{tag}>\n" + "".join(xml(*child, depth + 1) for child in children) + f"{indent}</{tag}>\n"


def main():
    folder = Path(__file__).parent
    stale = []
    for template in TEMPLATES:
        text = '<?xml version="1.0" encoding="UTF-8"?>\n' + xml("zabbix_export", export(template))
        ElementTree.fromstring(text)
        path = folder / f"concierge_courier_{template.name.lower()}.xml"
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
    if stale:
        sys.exit(f"not what templates/generate.py writes: {', '.join(stale)}; run it, and commit what it wrote")


if __name__ == "__main__":
    main()
