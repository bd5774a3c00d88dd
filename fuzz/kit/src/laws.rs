//! The table that laws are said in: a name, how much it matters, and what it says.

macro_rules! laws {
    ($(#[$held:meta])* enum Law { $($(#[$about:meta])* $name:ident $word:literal $severity:ident $words:literal,)+ }) => {
        $(#[$held])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Law {
            $($(#[$about])* $name,)+
        }

        impl Law {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            /// What it says.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)+
                }
            }

            /// How much it matters.
            #[must_use]
            pub const fn severity(self) -> $crate::report::Severity {
                match self {
                    $(Self::$name => $crate::report::Severity::$severity,)+
                }
            }
        }
    };
}

pub(crate) use laws;
