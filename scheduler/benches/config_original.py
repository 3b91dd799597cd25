"""What the original program did, on pyzabbix: backup or restore of one server, one call after another.

Usage: config_original.py backup|restore URL FOLDER
"""

import json
import pathlib
import sys

from pyzabbix import ZabbixAPI

verb, url, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
folder.mkdir(exist_ok=True)
zabbix = ZabbixAPI(url)
zabbix.login("Admin", "zabbix")
SELECT = {"selectOperations": "extend", "selectRecoveryOperations": "extend", "selectFilter": "extend"}
EXPORTS = [
    ("hostgroups", "groups", zabbix.hostgroup, "groupid"),
    ("mediatypes", "mediaTypes", zabbix.mediatype, "mediatypeid"),
    ("templates", "templates", zabbix.template, "templateid"),
    ("hosts", "hosts", zabbix.host, "hostid"),
]


def write(name, value):
    (folder / f"{name}.json").write_text(json.dumps(value, indent=2))


def backup():
    for name, option, api, key in EXPORTS:
        ids = [found[key] for found in api.get(output=[key])]
        text = zabbix.configuration.export(format="json", options={option: ids}) if ids else "null"
        write(name, json.loads(text))
    write("trigger_actions", zabbix.action.get(filter={"eventsource": 0}, **SELECT))
    write("reg_actions", zabbix.action.get(filter={"eventsource": 2}, **SELECT))
    write("services", zabbix.service.get(output="extend"))
    write("proxies", zabbix.proxy.get(output="extend"))


def restore():
    both = {"createMissing": True, "updateExisting": True}
    rules = {
        name: both
        for name in ("groups", "mediaTypes", "templates", "hosts", "items", "triggers", "graphs",
                     "discoveryRules", "httptests", "valueMaps", "templateDashboards")
    }
    rules["templateLinkage"] = {"createMissing": True}
    # Without its proxies no host that has one would be taken; the original restored them too late.
    for proxy in json.loads((folder / "proxies.json").read_text()):
        create = {field: proxy[field] for field in ("host", "status")}
        if proxy["status"] == "6":
            create["interface"] = {"useip": "1", "ip": "127.0.0.1", "dns": "", "port": "10051"}
        zabbix.proxy.create(**create)
    for name, *_ in EXPORTS:
        source = (folder / f"{name}.json").read_text()
        if name != "mediatypes":  # stock media types without a user are exported, and refused
            zabbix.do_request("configuration.import", {"format": "json", "source": source, "rules": rules})


{"backup": backup, "restore": restore}[verb]()
