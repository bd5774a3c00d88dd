//! Kafka's properties about compression, and librdkafka's.

use std::sync::Arc;

use ottla_core::Compression;

use crate::{
    compression::{
        CompressionType,
        batch_compressor::{BatchCompressor, MakeCompressor},
        codecs,
    },
    error::BuildError,
};

const TYPES: &str = "none, gzip, snappy, lz4 or zstd";
const GZIP_LEVELS: &str = "-1, which is 6, or 1 to 9";
const ONLY_FAST: &str = "9, which stands for the fast compressor, as in Kafka: it is the only one that is built in \
    (`Builder::compressor` takes one of your own)";
const ZSTD_LEVELS: &str = "-7 to 4: the compressor that is built in has no other levels (`Builder::compressor` takes \
    one of your own)";
const LEVELS: &str = "-1, which is each type's default, or a level of `compression.type`: 1 to 9 for gzip, 0 for snappy \
    and lz4, -7 to 4 for zstd";

/// zlib's own default.
const GZIP_DEFAULT: i32 = -1;
/// On telemetry zrip's level 3, which Kafka's default would be, takes half as long again and leaves as much.
const ZSTD_DEFAULT: i32 = 1;

/// The properties about compression that were given.
#[derive(Clone, Default)]
pub(crate) struct CompressionProperties {
    /// `Some(None)` is `none`, which is the default.
    kind: Option<Option<CompressionType>>,
    gzip: Option<i32>,
    zstd: Option<i32>,
    /// librdkafka's level, for whichever type.
    any: Option<i32>,
    /// The first level that was given, by its name.
    level: Option<String>,
    /// What the application gives in place of those that are built in.
    pub(crate) own: Option<MakeCompressor>,
}

impl core::fmt::Debug for CompressionProperties {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { kind, gzip, zstd, any, .. } = self;
        f.debug_struct("CompressionProperties")
            .field("kind", kind)
            .field("levels", &[gzip, zstd, any])
            .finish_non_exhaustive()
    }
}

impl CompressionProperties {
    /// Whether a property is about compression: all such names are judged here and nowhere else.
    pub(crate) fn knows(name: &str) -> bool {
        name.starts_with("compression.")
    }

    /// Takes a property.
    ///
    /// # Errors
    ///
    /// There is no such property, or its value does not fit.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), BuildError> {
        let value = value.trim();
        let level = |expected, fits: fn(i32) -> bool| match value.parse() {
            Ok(level) if fits(level) => Ok(level),
            _ => Err(BuildError::PropertyValue {
                name: name.to_owned(),
                value: value.to_owned(),
                expected,
            }),
        };
        match name {
            "compression.type" | "compression.codec" => {
                self.kind = Some(match value {
                    "none" => None,
                    value => Some(value.parse().map_err(|()| BuildError::PropertyValue {
                        name: name.to_owned(),
                        value: value.to_owned(),
                        expected: TYPES,
                    })?),
                });
                return Ok(());
            }
            "compression.gzip.level" => self.gzip = Some(level(GZIP_LEVELS, fits_gzip)?),
            "compression.lz4.level" => _ = level(ONLY_FAST, |level| level == 9)?,
            "compression.zstd.level" => self.zstd = Some(level(ZSTD_LEVELS, fits_zstd)?),
            "compression.level" => {
                self.any = Some(level(LEVELS, |level| fits_gzip(level) || fits_zstd(level))?);
            }
            _ => {
                return Err(BuildError::UnknownProperty {
                    name: name.to_owned(),
                    nearest: ottla_core::nearest_property(name, NAMES),
                });
            }
        }
        self.level.get_or_insert_with(|| name.to_owned());
        Ok(())
    }

    /// What is to compress, for `count` engines; none where nothing is to. `default` is what no property says otherwise.
    ///
    /// # Errors
    ///
    /// Where the properties do not fit together, this build has no such compressor, or it failed its self-test.
    pub(crate) fn compressors(
        &self,
        default: Compression,
        count: usize,
    ) -> Result<Vec<BatchCompressor>, BuildError> {
        let default = CompressionType::ALL.into_iter().find(|one| one.core() == default);
        let Some(first) = self.compressor(default)? else { return Ok(Vec::new()) };
        let mut all = vec![first];
        while all.len() < count {
            all.push(all[0].another());
        }
        Ok(all)
    }

    fn compressor(
        &self,
        default: Option<CompressionType>,
    ) -> Result<Option<BatchCompressor>, BuildError> {
        if let Some(own) = &self.own {
            return self.compression_of_ones_own(own).map(Some);
        }
        let Some(kind) = self.kind.unwrap_or(default) else { return Ok(None) };
        let level = self.level(kind)?;
        if !codecs::is_known(kind) {
            let name = "compression.type".to_owned();
            let reason = match kind {
                CompressionType::Gzip => {
                    "this build has no gzip: build ottla with its feature `gzip`"
                }
                CompressionType::Snappy => {
                    "this build has no snappy: build ottla with its feature `snappy`"
                }
                CompressionType::Lz4 => "this build has no lz4: build ottla with its feature `lz4`",
                CompressionType::Zstd => {
                    "this build has no zstd: build ottla with its feature `zstd`"
                }
            };
            return Err(BuildError::UnsupportedProperty { name, reason });
        }
        BatchCompressor::new(Arc::new(move || codecs::built_in(kind, level))).map(Some)
    }

    fn compression_of_ones_own(&self, own: &MakeCompressor) -> Result<BatchCompressor, BuildError> {
        let refused = |name: &str, reason| {
            Err(BuildError::UnsupportedProperty { name: name.to_owned(), reason })
        };
        if let Some(name) = &self.level {
            return refused(name, "`Builder::compressor` was called: it has its own level");
        }
        let compression = BatchCompressor::new(Arc::clone(own))?;
        match self.kind {
            Some(kind) if kind != Some(compression.kind()) => refused(
                "compression.type",
                "what `Builder::compressor` was given is of another type",
            ),
            _ => Ok(compression),
        }
    }

    /// The level for a type.
    fn level(&self, kind: CompressionType) -> Result<i32, BuildError> {
        let any = self.any.filter(|&level| level != -1);
        let (own, fits, default): (_, fn(i32) -> bool, _) = match kind {
            CompressionType::Gzip => (self.gzip, fits_gzip, GZIP_DEFAULT),
            CompressionType::Snappy | CompressionType::Lz4 => (None, |level| level == 0, 0),
            CompressionType::Zstd => (self.zstd, fits_zstd, ZSTD_DEFAULT),
        };
        match any {
            Some(level) if !fits(level) => Err(BuildError::PropertyValue {
                name: "compression.level".to_owned(),
                value: level.to_string(),
                expected: LEVELS,
            }),
            any => Ok(own.or(any).unwrap_or(default)),
        }
    }
}

fn fits_gzip(level: i32) -> bool {
    level == -1 || (1..=9).contains(&level)
}

fn fits_zstd(level: i32) -> bool {
    (-7..=4).contains(&level)
}

/// The properties that may be given.
const NAMES: [&str; 6] = [
    "compression.codec",
    "compression.gzip.level",
    "compression.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
];
