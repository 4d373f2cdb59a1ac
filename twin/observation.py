"""The noun of the whole house: one device, one instant, its metrics.

One message is one observation is one line of line protocol is one row. `at` is when it was so, `received` when we
were told; both UTC milliseconds. Identity is (device, at): the same values again are the same observation (the first
`received` stands); other values are a correction (both are kept, the later received one counts from then on).

Attribute names are those of the Smart Data Models where one exists; the compute ones are ours (no model exists).
Units are UCUM codes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Domain(StrEnum):
    TRAFFIC = "traffic"
    ENVIRONMENT = "environment"
    PARKING = "parking"
    COMPUTE = "compute"
    CITY = "city"


class Observation(msgspec.Struct, frozen=True, gc=False):
    device: str
    at: int
    values: dict[str, float]
    received: int


@dataclass(frozen=True)
class Metric:
    """What a value may be: outside [low, high] it is no observation but a fault, and is quarantined.

    `scale` is the range shown on one byte of a frame; beyond it the byte saturates, the value does not.
    """

    name: str
    label: str
    unit: str
    low: float
    high: float
    scale: tuple[float, float]
    decimals: int = 0


def _m(
    name: str,
    label: str,
    unit: str,
    valid: tuple[float, float],
    scale: tuple[float, float] | None = None,
    decimals: int = 0,
) -> Metric:
    return Metric(name, label, unit, *valid, scale or valid, decimals)


METRICS: Mapping[str, Metric] = {
    m.name: m
    for m in (
        # traffic (TrafficFlowObserved)
        _m("intensity", "Traffic flow", "{vehicles}/h", (0, 20_000), (0, 5_000)),
        _m("averageVehicleSpeed", "Average speed", "km/h", (0, 250), (0, 125), 1),
        _m("occupancy", "Occupancy", "1", (0, 1.5), (0, 1.25), 3),
        # air (AirQualityObserved); CO in mg/m3, the rest in ug/m3 as HJ 633 tabulates them
        _m("pm25", "PM2.5", "ug/m3", (0, 2_000), (0, 500), 1),
        _m("pm10", "PM10", "ug/m3", (0, 5_000), (0, 1_000), 1),
        _m("so2", "SO₂", "ug/m3", (0, 5_000), (0, 800), 1),
        _m("no2", "NO₂", "ug/m3", (0, 4_000), (0, 800), 1),
        _m("co", "CO", "mg/m3", (0, 200), (0, 50), 2),
        _m("o3", "O₃", "ug/m3", (0, 2_000), (0, 500), 1),
        _m("volatileOrganicCompoundsTotal", "TVOC", "mg/m3", (0, 100), (0, 10), 2),
        # noise (NoiseLevelObserved)
        _m("LAeq", "Noise LAeq", "dB", (20, 140), (25, 150), 1),
        _m("LAmax", "Noise LAmax", "dB", (20, 150), (25, 150), 1),
        # weather (WeatherObserved)
        _m("temperature", "Temperature", "Cel", (-40, 60), (-40, 60), 1),
        _m("relativeHumidity", "Relative humidity", "1", (0, 1), (0, 1), 2),
        _m("windSpeed", "Wind speed", "m/s", (0, 75), (0, 50), 1),
        _m("windDirection", "Wind direction", "deg", (0, 360), (0, 360)),
        _m("precipitation", "Precipitation", "mm/h", (0, 400), (0, 100), 1),
        _m("atmosphericPressure", "Air pressure", "hPa", (850, 1_090), (900, 1_060), 1),
        _m("visibility", "Visibility", "m", (0, 60_000), (0, 30_000)),
        _m("solarRadiation", "Solar radiation", "W/m2", (0, 1_600), (0, 1_250)),
        # water (WaterObserved, WaterQualityObserved) and soil
        _m("waterLevel", "Water level", "m", (-20, 600), (0, 12.5), 2),
        _m("waterDischarge", "Discharge", "m3/s", (0, 20_000), (0, 10_000), 1),
        _m("pH", "pH", "[pH]", (0, 14), (0, 14), 2),
        _m("O2", "Dissolved oxygen", "mg/L", (0, 30), (0, 20), 2),
        _m("NH4", "Ammonia nitrogen", "mg/L", (0, 200), (0, 5), 2),
        _m("P-TOT", "Total phosphorus", "mg/L", (0, 100), (0, 1), 3),
        _m("cod", "COD", "mg/L", (0, 5_000), (0, 100), 1),
        _m("turbidity", "Turbidity", "NTU", (0, 10_000), (0, 1_000), 1),
        _m("soilMoistureVwc", "Soil moisture", "1", (0, 1), (0, 1), 3),
        _m("soilTemperature", "Soil temperature", "Cel", (-40, 70), (-20, 60), 1),
        # parking (OffStreetParking, OnStreetParking)
        _m("occupiedSpotNumber", "Occupied spaces", "{spaces}", (0, 50_000), (0, 2_500)),
        _m("availableSpotNumber", "Free spaces", "{spaces}", (0, 50_000), (0, 2_500)),
        _m("vehicleEntranceCount", "Entries per minute", "/min", (0, 1_000), (0, 125)),
        _m("vehicleExitCount", "Exits per minute", "/min", (0, 1_000), (0, 125)),
        # compute centre (ComputeClusterObserved, ours)
        _m("gpuUtilization", "Accelerator utilisation", "1", (0, 1), (0, 1), 3),
        _m("gpuAllocated", "Accelerators allocated", "{cards}", (0, 100_000), (0, 1_000)),
        _m("gpuTotal", "Accelerators in service", "{cards}", (0, 100_000), (0, 1_000)),
        _m("fp16Pflops", "Compute in use", "{PFLOPS}", (0, 10_000), (0, 500), 1),
        _m("queueLength", "Jobs waiting", "{jobs}", (0, 1_000_000), (0, 1_000)),
        _m("itPower", "IT power", "kW", (0, 100_000), (0, 1_000), 1),
        _m("facilityPower", "Facility power", "kW", (0, 100_000), (0, 1_000), 1),
        _m("pue", "PUE", "1", (1, 10), (1, 2), 3),
        _m("inletTemperature", "Cold-aisle temperature", "Cel", (-10, 80), (0, 50), 1),
        _m("outletTemperature", "Hot-aisle temperature", "Cel", (-10, 100), (0, 62.5), 1),
        _m("coolingPower", "Cooling delivered", "kW", (0, 100_000), (0, 1_000), 1),
        _m("supplyTemperature", "Chilled-water supply", "Cel", (-10, 60), (0, 50), 1),
        _m("loadRatio", "Load ratio", "1", (0, 2), (0, 1.25), 3),
        _m("linkLatency", "Line latency", "ms", (0, 10_000), (0, 125), 1),
        _m("linkUtilization", "Line in use", "1", (0, 1), (0, 1), 3),
        _m("jobsDispatched", "Waiting jobs sent away", "{jobs}/h", (0, 100_000), (0, 250)),
        _m("jobsMigrated", "Running jobs moved away", "{jobs}/h", (0, 100_000), (0, 250)),
        # city facilities
        _m("powerConsumption", "Power drawn", "kW", (0, 10_000), (0, 125), 2),
        _m("voltage", "Voltage", "V", (0, 1_000), (0, 500), 1),
        _m("illuminanceOn", "Lamps lit", "1", (0, 1), (0, 1), 2),
        _m("coverOpen", "Cover open", "1", (0, 1), (0, 1)),
        _m("waterDepth", "Water depth", "m", (0, 20), (0, 2.5), 2),
        _m("pumpsRunning", "Pumps running", "{pumps}", (0, 100), (0, 10)),
        _m("flow", "Pumped flow", "m3/h", (0, 100_000), (0, 5_000)),
        _m("batteryLevel", "Battery", "1", (0, 1), (0, 1), 2),
        # city grid (ours): calls to the hotline in the last hour
        _m("odourReports", "Odour reports", "{reports}/h", (0, 10_000), (0, 125)),
        _m("noiseReports", "Noise reports", "{reports}/h", (0, 10_000), (0, 125)),
        _m("floodReports", "Flooding reports", "{reports}/h", (0, 10_000), (0, 125)),
        _m("parkingReports", "Parking reports", "{reports}/h", (0, 10_000), (0, 125)),
        _m("facilityReports", "Facility reports", "{reports}/h", (0, 10_000), (0, 125)),
        _m("reports", "Citizen reports", "{reports}/h", (0, 50_000), (0, 125)),
    )
}


@dataclass(frozen=True)
class Kind:
    """What a device of this kind is, measures and shows: `headline` is the one metric on the map and in frames."""

    name: str
    label: str
    domain: Domain
    metrics: tuple[str, ...]
    headline: str
    period_s: int = 60


KINDS: Mapping[str, Kind] = {
    k.name: k
    for k in (
        Kind(
            "link-detector",
            "Road detector",
            Domain.TRAFFIC,
            ("intensity", "averageVehicleSpeed", "occupancy"),
            "averageVehicleSpeed",
        ),
        Kind(
            "air-station",
            "Air-quality station",
            Domain.ENVIRONMENT,
            ("pm25", "pm10", "so2", "no2", "co", "o3", "volatileOrganicCompoundsTotal"),
            "pm25",
        ),
        Kind("noise-monitor", "Noise monitor", Domain.ENVIRONMENT, ("LAeq", "LAmax"), "LAeq"),
        Kind(
            "weather-station",
            "Weather station",
            Domain.ENVIRONMENT,
            (
                "temperature",
                "relativeHumidity",
                "windSpeed",
                "windDirection",
                "precipitation",
                "atmosphericPressure",
                "visibility",
                "solarRadiation",
            ),
            "temperature",
        ),
        Kind(
            "water-station",
            "Water station",
            Domain.ENVIRONMENT,
            ("waterLevel", "waterDischarge", "pH", "O2", "NH4", "P-TOT", "cod", "turbidity"),
            "waterLevel",
        ),
        Kind(
            "soil-station",
            "Soil station",
            Domain.ENVIRONMENT,
            ("soilMoistureVwc", "soilTemperature"),
            "soilMoistureVwc",
        ),
        Kind(
            "car-park",
            "Car park",
            Domain.PARKING,
            (
                "occupiedSpotNumber",
                "availableSpotNumber",
                "occupancy",
                "vehicleEntranceCount",
                "vehicleExitCount",
            ),
            "occupancy",
        ),
        Kind(
            "compute-centre",
            "Compute centre",
            Domain.COMPUTE,
            (
                "gpuUtilization",
                "gpuAllocated",
                "gpuTotal",
                "fp16Pflops",
                "queueLength",
                "itPower",
                "facilityPower",
                "pue",
            ),
            "gpuUtilization",
            10,
        ),
        Kind(
            "server",
            "Accelerator server",
            Domain.COMPUTE,
            ("gpuUtilization", "itPower", "inletTemperature", "outletTemperature"),
            "inletTemperature",
        ),
        Kind(
            "chiller",
            "Chiller",
            Domain.COMPUTE,
            ("coolingPower", "supplyTemperature", "powerConsumption", "loadRatio"),
            "supplyTemperature",
        ),
        Kind(
            "power-unit",
            "UPS and distribution",
            Domain.COMPUTE,
            ("loadRatio", "powerConsumption", "voltage", "batteryLevel"),
            "loadRatio",
        ),
        Kind(
            "compute-pool",
            "Compute pool",
            Domain.COMPUTE,
            (
                "gpuUtilization",
                "gpuAllocated",
                "gpuTotal",
                "fp16Pflops",
                "queueLength",
                "linkLatency",
                "linkUtilization",
            ),
            "gpuUtilization",
        ),
        Kind(
            "dispatch",
            "Compute dispatch",
            Domain.COMPUTE,
            ("queueLength", "jobsDispatched", "jobsMigrated"),
            "queueLength",
        ),
        Kind(
            "street-light",
            "Street-light cabinet",
            Domain.CITY,
            ("illuminanceOn", "powerConsumption", "voltage"),
            "illuminanceOn",
        ),
        Kind(
            "manhole",
            "Manhole cover",
            Domain.CITY,
            ("coverOpen", "waterDepth", "batteryLevel"),
            "waterDepth",
        ),
        Kind(
            "pumping-station",
            "Pumping station",
            Domain.CITY,
            ("waterLevel", "pumpsRunning", "flow", "powerConsumption"),
            "waterLevel",
        ),
        Kind("underpass", "Underpass", Domain.CITY, ("waterDepth",), "waterDepth"),
        Kind(
            "city-grid",
            "City grid cell",
            Domain.CITY,
            ("odourReports", "noiseReports", "floodReports", "parkingReports", "facilityReports", "reports"),
            "reports",
        ),
    )
}


def columns(domain: Domain) -> tuple[str, ...]:
    """The metrics of a domain, in a fixed order: the value columns of its wide table."""
    return tuple(dict.fromkeys(m for k in KINDS.values() if k.domain is domain for m in k.metrics))
