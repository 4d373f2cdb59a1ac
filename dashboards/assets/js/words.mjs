// The words that belong to the drawing itself; all else comes translated from the server.

const WORDS = {
  zh: {
    live: "实时",
    late: "数据延迟{age}",
    lost: "连接中断{age} · 正在重连",
    connecting: "正在连接",
    noDevices: "读不到设备目录 · 正在重试",
    noMap: "此浏览器没有 WebGL，地图无法显示",
    mapLost: "显卡中断，地图正在恢复",
    mapFailed: "地图无法加载",
    close: "关闭",
    resetView: "全区视角",
    orbit: "缓慢环绕",
    last24: "近 24 小时",
    loading: "正在读取",
    failed: "读取失败",
    known: "在线",
    unknown: "失联",
    never: "从未上报",
    observed: "观测于",
    noHistory: "这段时间没有数据",
    period: "每 {n} 秒上报",
    otherRegistry: "设备目录已更新，等待服务同步",
  },
  en: {
    live: "Live",
    late: "Data late{age}",
    lost: "Link lost{age} · reconnecting",
    connecting: "Connecting",
    noDevices: "No device directory · retrying",
    noMap: "This browser has no WebGL: the map cannot be shown",
    mapLost: "Graphics interrupted: the map is being restored",
    mapFailed: "The map cannot be loaded",
    close: "Close",
    resetView: "Whole zone",
    orbit: "Slow orbit",
    last24: "Last 24 hours",
    loading: "Loading",
    failed: "Cannot be read",
    known: "Heard",
    unknown: "Silent",
    never: "Never heard",
    observed: "Observed",
    noHistory: "No data in this time",
    period: "reports every {n} s",
    otherRegistry: "The device list has changed: waiting for the server",
  },
};

// UCUM codes as people write them. A share ("1") has no unit.
const UNITS = {
  1: ["", ""],
  "{vehicles}/h": ["辆/h", "veh/h"],
  "ug/m3": ["µg/m³", "µg/m³"],
  "mg/m3": ["mg/m³", "mg/m³"],
  "m3/s": ["m³/s", "m³/s"],
  "m3/h": ["m³/h", "m³/h"],
  "W/m2": ["W/m²", "W/m²"],
  Cel: ["℃", "℃"],
  deg: ["°", "°"],
  "[pH]": ["", ""],
  "{spaces}": ["个", "spaces"],
  "/min": ["辆/min", "/min"],
  "{cards}": ["卡", "cards"],
  "{jobs}": ["个", "jobs"],
  "{PFLOPS}": ["PFLOPS", "PFLOPS"],
  "{pumps}": ["台", "pumps"],
};

export const words = (language) => WORDS[language] ?? WORDS.zh;

export const unit = (code, language) => UNITS[code]?.[language === "en" ? 1 : 0] ?? code;
