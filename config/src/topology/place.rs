//! Kinds of place, and the places where no camera may be.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// What kind of public place a site is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// Crossing of roads (路口).
    Crossroad,
    /// Along a road or street (道路).
    Road,
    /// Road check point (卡口).
    Checkpoint,
    /// Square (广场).
    Square,
    /// Park or scenic place (公园景区).
    Park,
    /// Outside a school (校园周边).
    School,
    /// Public part of a hospital (医院).
    Hospital,
    /// Railway, coach or bus station (车站).
    Transport,
    /// Market or shopping street (市场商圈).
    Market,
    /// Entrance or lanes of a residential quarter (小区出入口).
    Residential,
    /// Entrance or lanes of a village (村口).
    Village,
    /// Outside a government office (机关单位).
    Government,
    /// Bridge, bank or water works (桥梁河道).
    Waterside,
    /// Surroundings of a target of the Counter-Terrorism Law (重点目标).
    KeyTarget,
}

impl PlaceKind {
    /// All kinds, in the order in which they are explained.
    pub const ALL: [Self; 14] = [
        Self::Crossroad,
        Self::Road,
        Self::Checkpoint,
        Self::Square,
        Self::Park,
        Self::School,
        Self::Hospital,
        Self::Transport,
        Self::Market,
        Self::Residential,
        Self::Village,
        Self::Government,
        Self::Waterside,
        Self::KeyTarget,
    ];

    /// The word used in files and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crossroad => "crossroad",
            Self::Road => "road",
            Self::Checkpoint => "checkpoint",
            Self::Square => "square",
            Self::Park => "park",
            Self::School => "school",
            Self::Hospital => "hospital",
            Self::Transport => "transport",
            Self::Market => "market",
            Self::Residential => "residential",
            Self::Village => "village",
            Self::Government => "government",
            Self::Waterside => "waterside",
            Self::KeyTarget => "key_target",
        }
    }

    /// Whether a name or word speaks of a place of privacy (Order 799, Art. 8).
    #[must_use]
    pub fn sounds_private(text: &str) -> bool {
        let text = text.to_lowercase();
        PRIVACY_WORDS.iter().any(|privacy| text.contains(privacy))
    }
}

impl fmt::Display for PlaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is no permitted kind of place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceRefused {
    /// A place of privacy: State Council Order 799, Art. 8 forbids cameras there.
    #[error("is a place of privacy, where State Council Order 799, Art. 8 forbids cameras")]
    Privacy,
    /// A word not in the list.
    #[error("is no kind of place known here")]
    Unknown,
}

/// Words of places of privacy (Order 799, Art. 8). A kind that contains one of them is refused as such, so that
/// the person who typed it learns the law and not a list of words.
const PRIVACY_WORDS: [&str; 27] = [
    "bath",
    "bedroom",
    "changing",
    "dormitory",
    "dorm",
    "dressing",
    "fitting",
    "guest_room",
    "guest room",
    "hotel_room",
    "lactation",
    "nursing_room",
    "locker",
    "restroom",
    "shower",
    "toilet",
    "washroom",
    "ward",
    "宿舍",
    "客房",
    "寝室",
    "卧室",
    "更衣",
    "试衣",
    "浴",
    "厕",
    "哺乳",
];

impl FromStr for PlaceKind {
    type Err = PlaceRefused;
    fn from_str(s: &str) -> Result<Self, PlaceRefused> {
        let word = s.trim().to_lowercase().replace('-', "_");
        if let Some(kind) = Self::ALL.into_iter().find(|kind| kind.as_str() == word) {
            return Ok(kind);
        }
        if Self::sounds_private(&word) {
            return Err(PlaceRefused::Privacy);
        }
        Err(PlaceRefused::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_from_its_word() {
        for kind in PlaceKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert!(!PlaceKind::sounds_private(kind.as_str()), "{kind}");
        }
        assert_eq!(" Key-Target ".parse(), Ok(PlaceKind::KeyTarget));
    }

    #[test]
    fn places_of_privacy_are_refused_as_such() {
        for word in [
            "bathroom",
            "Changing-Room",
            "hotel room guest_room",
            "dormitory",
            "宿舍",
            "女更衣室",
            "公共厕所",
            "浴室",
        ] {
            assert_eq!(word.parse::<PlaceKind>(), Err(PlaceRefused::Privacy), "{word}");
        }
        for word in ["", "street", "room_service"] {
            assert_eq!(word.parse::<PlaceKind>(), Err(PlaceRefused::Unknown), "{word}");
        }
    }
}
