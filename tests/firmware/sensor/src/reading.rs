//! Readings, and their text.

/// How many channels the sensor has; each has a partition of its own.
pub(crate) const CHANNELS: u32 = if cfg!(feature = "json") { 1 } else { 4 };

/// The most bytes that the text of a reading has: ten digits, a space, and `-327.68`.
#[cfg(any(not(feature = "json"), test))]
const MAX: usize = 18;
/// The most bytes of one that is JSON: 83 of names, and digits.
const MAX_JSON: usize = 83 + 10 + 7 + 4 + 6 + 4;

/// One reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Its number, from zero.
    pub(crate) number: u32,
    /// Hundredths of a degree.
    hundredths: i16,
}

impl Reading {
    /// The reading with this number: a day that takes 2,400 readings, between 15 and 27 degrees,
    /// and a little noise.
    pub(crate) fn take(number: u32) -> Self {
        let phase = (number % 2_400) as i16;
        let day = if phase < 1_200 { phase } else { 2_400 - phase };
        let noise = (number.wrapping_mul(2_654_435_761) >> 28) as i16;
        Self { number, hundredths: 1_500 + day + noise }
    }

    /// Which of the channels it is of.
    #[cfg_attr(
        feature = "json",
        expect(clippy::modulo_one, reason = "a device of JSON has one channel")
    )]
    pub(crate) fn channel(self) -> i32 {
        (self.number % CHANNELS) as i32
    }

    /// Its text: the number, a space, degrees.
    #[cfg(any(not(feature = "json"), test))]
    pub(crate) fn text(self) -> Text<MAX> {
        let mut text = Text::new();
        text.degrees(self.hundredths);
        text.push(b' ');
        text.number(self.number, 1);
        text
    }

    /// The same as an object of JSON, with what else such a sensor tells.
    fn json(self) -> Text<MAX_JSON> {
        let noise = self.number.wrapping_mul(2_246_822_519);
        let mut text = Text::new();
        text.push(b'}');
        for (name, tenths) in [
            (",\"battery\":", 32 + (noise >> 28) % 4),
            (",\"pressure\":", 10_130 + (noise >> 20) % 16),
            (",\"humidity\":", 410 + (noise >> 12) % 32),
        ] {
            text.number(tenths % 10, 1);
            text.push(b'.');
            text.number(tenths / 10, 1);
            text.string(name);
        }
        text.degrees(self.hundredths);
        text.string(",\"celsius\":");
        text.number(self.number, 1);
        text.string("{\"device\":\"sensor-17\",\"reading\":");
        text
    }
}

/// The text of the reading `number` where readings are JSON.
#[must_use]
pub fn json(number: u32) -> Text<MAX_JSON> {
    Reading::take(number).json()
}

/// A text that is written from its end.
#[derive(Clone, Copy, Debug)]
pub struct Text<const MAX: usize> {
    bytes: [u8; MAX],
    start: usize,
}

impl<const MAX: usize> Text<MAX> {
    const fn new() -> Self {
        Self { bytes: [0; MAX], start: MAX }
    }

    /// It.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn degrees(&mut self, hundredths: i16) {
        let magnitude = u32::from(hundredths.unsigned_abs());
        self.number(magnitude % 100, 2);
        self.push(b'.');
        self.number(magnitude / 100, 1);
        if hundredths < 0 {
            self.push(b'-');
        }
    }

    fn string(&mut self, string: &str) {
        for byte in string.bytes().rev() {
            self.push(byte);
        }
    }

    fn push(&mut self, byte: u8) {
        let at = self.start.saturating_sub(1);
        if let Some(place) = self.bytes.get_mut(at) {
            *place = byte;
            self.start = at;
        }
    }

    /// A number with at least so many digits.
    fn number(&mut self, mut number: u32, digits: u32) {
        let mut done = 0;
        while number > 0 || done < digits {
            self.push(b'0' + (number % 10) as u8);
            number /= 10;
            done += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_text() {
        let of = |number, hundredths| Reading { number, hundredths }.text();
        assert_eq!(of(0, 0).as_bytes(), b"0 0.00");
        assert_eq!(of(17, 2_150).as_bytes(), b"17 21.50");
        assert_eq!(of(u32::MAX, i16::MIN).as_bytes(), b"4294967295 -327.68");
        assert_eq!(of(9, -7).as_bytes(), b"9 -0.07");
        assert_eq!(Reading::take(4_001).channel(), if cfg!(feature = "json") { 0 } else { 1 });
        let json = Reading { number: u32::MAX, hundredths: i16::MIN }.json();
        assert_eq!(
            core::str::from_utf8(json.as_bytes()),
            Ok(
                "{\"device\":\"sensor-17\",\"reading\":4294967295,\"celsius\":-327.68,\"humidity\":41.3,\"pressure\":1013.1,\"battery\":3.5}"
            )
        );
    }
}
