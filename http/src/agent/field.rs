//! The fields of an agent object (REST contract, section 3.1).

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// One field, by the name clients select and sort by. Of nested objects these are the leaves.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Field {
            $($(#[$doc])* $name,)*
        }

        impl Field {
            /// All of them, in the order they are answered.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name clients know it by.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

// The leaves of `os` come first and together: they are written as one nested object.
fields! {
    /// Such as `x86_64`.
    OsArch = "os.arch";
    /// Build number, on Windows.
    OsBuild = "os.build";
    /// Such as `bookworm`.
    OsCodename = "os.codename";
    /// Leading number of the version.
    OsMajor = "os.major";
    /// Second number of the version.
    OsMinor = "os.minor";
    /// Such as `Debian GNU/Linux`.
    OsName = "os.name";
    /// Such as `debian`.
    OsPlatform = "os.platform";
    /// The uname line.
    OsUname = "os.uname";
    /// Such as `12`.
    OsVersion = "os.version";
    /// Its groups in order of priority.
    Group = "group";
    /// The address last seen.
    Ip = "ip";
    /// Sum of its configuration.
    ConfigSum = "configSum";
    /// When it last sent a startup or keepalive.
    LastKeepAlive = "lastKeepAlive";
    /// Whether it can be reached.
    Status = "status";
    /// Whether it holds the files of its groups.
    GroupConfigStatus = "group_config_status";
    /// Why it has its status.
    StatusCode = "status_code";
    /// Sum of the group files it holds.
    MergedSum = "mergedSum";
    /// When it was registered.
    DateAdd = "dateAdd";
    /// Where it may come from.
    RegisterIp = "registerIP";
    /// Its id.
    Id = "id";
    /// When it was last lost.
    DisconnectionTime = "disconnection_time";
    /// The node that last owned it.
    NodeName = "node_name";
    /// Version of its software.
    Version = "version";
    /// Its name.
    Name = "name";
    /// The node that took its report.
    Manager = "manager";
}

impl Field {
    /// The field of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// The name inside of `os`, if it is a leaf of that.
    pub(crate) fn os_leaf(self) -> Option<&'static str> {
        self.name().strip_prefix("os.")
    }
}

/// Some of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields(u32);

impl Fields {
    /// All of them.
    pub(crate) const ALL: Self = Self(u32::MAX);

    /// These.
    pub(crate) fn of(fields: &[Field]) -> Self {
        Self(fields.iter().fold(0, |bits, field| bits | 1 << *field as u32))
    }

    /// These and one more.
    pub(crate) fn with(self, field: Field) -> Self {
        Self(self.0 | 1 << field as u32)
    }

    /// Whether this one is among them.
    pub(crate) fn contains(self, field: Field) -> bool {
        self.0 & 1 << field as u32 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_names_and_fit_the_set() {
        assert!(Field::ALL.len() <= 32);
        for field in Field::ALL {
            assert_eq!(Field::named(field.name()), Some(*field));
        }
        for unknown in ["os", "internal_key", "ID", ""] {
            assert_eq!(Field::named(unknown), None);
        }
    }

    #[test]
    fn leaves_of_os_come_first_and_together() {
        let leaves = Field::ALL.iter().take_while(|field| field.os_leaf().is_some()).count();
        assert_eq!(leaves, Field::ALL.iter().filter(|field| field.os_leaf().is_some()).count());
    }

    #[test]
    fn a_set_contains_what_was_put_into_it() {
        let some = Fields::of(&[Field::OsArch, Field::Manager]).with(Field::Id);
        let contained: Vec<Field> = Field::ALL.iter().copied().filter(|field| some.contains(*field)).collect();
        assert_eq!(contained, [Field::OsArch, Field::Id, Field::Manager]);
    }
}
