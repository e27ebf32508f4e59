//! Names of the made-up city. Regions and towns exist; what stands in them here does not.

use crate::topology::PlaceKind;

/// A district or county.
pub(super) struct Region {
    /// Six digits of its administrative code.
    pub code: u32,
    /// Short name.
    pub name: &'static str,
    /// Latitude of its seat in WGS-84 degrees.
    pub lat: f64,
    /// Longitude of its seat in WGS-84 degrees.
    pub lon: f64,
    /// Twelve of its towns.
    pub towns: &'static [&'static str],
}

/// The six regions of Quzhou.
pub(super) const REGIONS: [Region; 6] = [
    Region {
        code: 330_802,
        name: "柯城",
        lat: 28.9680,
        lon: 118.8710,
        towns: &[
            "府山", "荷花", "花园", "双港", "信安", "白云", "衢化", "新新", "石梁", "航埠", "黄家", "万田",
        ],
    },
    Region {
        code: 330_803,
        name: "衢江",
        lat: 28.9790,
        lon: 118.9580,
        towns: &[
            "樟潭", "浮石", "上方", "峡川", "莲花", "全旺", "大洲", "后溪", "廿里", "湖南", "高家", "杜泽",
        ],
    },
    Region {
        code: 330_822,
        name: "常山",
        lat: 28.9010,
        lon: 118.5110,
        towns: &[
            "天马", "紫港", "金川", "白石", "招贤", "青石", "球川", "辉埠", "芳村", "何家", "同弓", "新昌",
        ],
    },
    Region {
        code: 330_824,
        name: "开化",
        lat: 29.1370,
        lon: 118.4150,
        towns: &[
            "芹阳", "华埠", "马金", "村头", "池淮", "桐村", "杨林", "苏庄", "齐溪", "音坑", "林山", "中村",
        ],
    },
    Region {
        code: 330_825,
        name: "龙游",
        lat: 29.0280,
        lon: 119.1720,
        towns: &[
            "龙洲",
            "东华",
            "湖镇",
            "小南海",
            "詹家",
            "溪口",
            "横山",
            "塔石",
            "罗家",
            "庙下",
            "石佛",
            "模环",
        ],
    },
    Region {
        code: 330_881,
        name: "江山",
        lat: 28.7370,
        lon: 118.6270,
        towns: &[
            "双塔",
            "虎山",
            "清湖",
            "上余",
            "四都",
            "贺村",
            "坛石",
            "大桥",
            "新塘边",
            "凤林",
            "峡口",
            "长台",
        ],
    },
];

/// Roads.
pub(super) const ROADS: [&str; 12] = [
    "人民路",
    "解放路",
    "中山路",
    "建设路",
    "新华路",
    "文昌路",
    "府前街",
    "环城路",
    "迎宾大道",
    "信安路",
    "学院路",
    "滨江路",
];

/// Kinds of place and what a site of that kind is called.
pub(super) const PLACES: [(PlaceKind, &str); 13] = [
    (PlaceKind::Crossroad, "路口"),
    (PlaceKind::Road, "中段"),
    (PlaceKind::School, "小学门口"),
    (PlaceKind::Market, "农贸市场"),
    (PlaceKind::Square, "广场"),
    (PlaceKind::Hospital, "医院大门"),
    (PlaceKind::Transport, "车站"),
    (PlaceKind::Residential, "小区东门"),
    (PlaceKind::Checkpoint, "卡口"),
    (PlaceKind::Government, "便民中心门前"),
    (PlaceKind::Park, "公园入口"),
    (PlaceKind::Waterside, "桥头"),
    (PlaceKind::Village, "村口"),
];
