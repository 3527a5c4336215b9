"""Makes calendar-borders.json: what windows of a calendar must be, from the zone files of the system.

    python3 test/operators/calendar-borders.py > test/operators/calendar-borders.json

It walks a zone's offsets one after the other and knows neither DuckDB nor ICU. For each zone and unit it gives how many
windows there are between the first and the last border, and the SHA-256 of their lines 'start end' in seconds.
"""
import hashlib, json, os, struct, sys
from datetime import datetime, timedelta

ROOT = '/usr/share/zoneinfo/'
EPOCH = datetime(1970, 1, 1)
MONDAY, SUNDAY = 0, 6


def offsets(zone):
    """[(first second or None, offset in seconds), ...] of RFC 8536, version 2 and later."""
    data = open(ROOT + zone, 'rb').read()

    def header(at):
        return struct.unpack('>6l', data[at + 20:at + 44])

    utc, std, leap, times, types, chars = header(0)
    at = 44 + times * 5 + types * 6 + chars + leap * 8 + std + utc
    utc, std, leap, times, types, chars = header(at)
    at += 44
    when = struct.unpack('>%dq' % times, data[at:at + 8 * times])
    which = data[at + 8 * times:at + 9 * times]
    at += 9 * times
    ahead = [struct.unpack('>l', data[at + 6 * i:at + 6 * i + 4])[0] for i in range(types)]
    found = [(None, ahead[0])]
    for second, kind in zip(when, which):
        if ahead[kind] != found[-1][1]:
            found.append((second, ahead[kind]))
    return found


def below(unit, t, week):
    if unit == 'hour':
        return t.replace(minute=0, second=0)
    t = t.replace(hour=0, minute=0, second=0)
    if unit == 'week':
        return t - timedelta(days=(t.weekday() - week) % 7)
    if unit == 'day':
        return t
    return t.replace(day=1, month={'month': t.month, 'quarter': (t.month - 1) // 3 * 3 + 1, 'year': 1}[unit])


def after(unit, t):
    if unit in ('hour', 'day', 'week'):
        return t + timedelta(hours={'hour': 1, 'day': 24, 'week': 168}[unit])
    month = t.month - 1 + {'month': 1, 'quarter': 3, 'year': 12}[unit]
    return t.replace(year=t.year + month // 12, month=month % 12 + 1)


def borders(zone, unit, first, last, week):
    """The first instant, in seconds, of each local period from `first` to `last`."""
    parts = offsets(zone)
    ends = [second for second, _ in parts[1:]] + [None]
    at, t, found = 0, below(unit, first, week), []
    while t <= last:
        shown = int((t - EPOCH).total_seconds())
        # The first stretch of one offset whose clocks show the border, or more, at its end.
        while ends[at] is not None and ends[at] + parts[at][1] <= shown:
            at += 1
        begins, ahead = parts[at]
        found.append(shown - ahead if begins is None else max(begins, shown - ahead))
        t = after(unit, t)
    return found


def digest(zone, unit, years, week=MONDAY):
    found = borders(zone, unit, datetime(years[0], 1, 1), datetime(years[1], 1, 1), week)
    windows = [(a, b) for a, b in zip(found, found[1:]) if a < b]
    lines = ''.join('%d %d\n' % window for window in windows)
    return {'zone': zone, 'unit': unit, **({'week': 'sunday'} if week == SUNDAY else {}), 'first': windows[0][0],
            'last': windows[-1][1], 'windows': len(windows), 'lengths': sorted({b - a for a, b in windows})[:1] + sorted({b - a for a, b in windows})[-1:],
            'sha256': hashlib.sha256(lines.encode()).hexdigest()}


CENTURY = (1925, 2025)
ZONES = ['UTC', 'America/Havana', 'Africa/Casablanca', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Europe/Berlin', 'Europe/London',
         'America/New_York', 'America/Sao_Paulo', 'America/St_Johns', 'America/Toronto', 'Africa/Monrovia', 'Pacific/Apia',
         'Pacific/Kwajalein', 'Asia/Beirut', 'Antarctica/Troll']
cases = [digest(zone, unit, CENTURY) for zone in ZONES for unit in ('day', 'week', 'month', 'quarter', 'year')]
cases += [digest(zone, 'week', CENTURY, SUNDAY) for zone in ('America/New_York', 'America/Havana')]
cases += [digest(zone, 'hour', years) for zone, years in (
    ('Australia/Lord_Howe', (2015, 2025)), ('Asia/Kathmandu', (1984, 1988)), ('Europe/Berlin', (1944, 1950)), ('Africa/Monrovia', (1970, 1974)),
    ('Antarctica/Troll', (2010, 2014)), ('Pacific/Kwajalein', (1992, 1995)), ('America/Havana', (2010, 2014)))]
version = open(os.path.join(ROOT, 'tzdata.zi')).readline().split()[-1]
print('{ "tzdb": "%s", "cases": [' % version)
print(',\n'.join(json.dumps(case) for case in cases))
print('] }')
