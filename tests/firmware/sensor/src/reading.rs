//! Readings, and their text.

/// How many channels the sensor has; each has a partition of its own.
pub(crate) const CHANNELS: u32 = 4;

/// The most bytes that the text of a reading has: ten digits, a space, and `-327.68`.
const MAX: usize = 18;

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
    pub(crate) fn channel(self) -> i32 {
        (self.number % CHANNELS) as i32
    }

    /// Its text: the number, a space, degrees.
    pub(crate) fn text(self) -> Text {
        let mut text = Text { bytes: [0; MAX], start: MAX };
        let magnitude = u32::from(self.hundredths.unsigned_abs());
        text.number(magnitude % 100, 2);
        text.push(b'.');
        text.number(magnitude / 100, 1);
        if self.hundredths < 0 {
            text.push(b'-');
        }
        text.push(b' ');
        text.number(self.number, 1);
        text
    }
}

/// A text that is written from its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    bytes: [u8; MAX],
    start: usize,
}

impl Text {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
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
        assert_eq!(Reading::take(4_001).channel(), 1);
    }
}
