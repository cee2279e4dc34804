//! The properties of one packet as a struct, made from one list of fields.

/// Makes a struct with a field for each property that a packet may have, and both its reader
/// and its writer. Fields before the `;` stand once or not at all; those behind it repeat.
macro_rules! property_set {
    (
        $(#[$doc:meta])*
        pub struct $set:ident {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $property:ident,)*
            ;
            $($(#[$list_doc:meta])* $list:ident: $list_type:ident = $list_property:ident,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
        pub struct $set<'a> {
            $($(#[$field_doc])* pub $field: Option<$type>,)*
            $($(#[$list_doc])* pub $list: $list_type<'a>,)*
        }

        impl<'a> $set<'a> {
            /// Whether there is none.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                true $(&& self.$field.is_none())* $(&& self.$list.is_empty())*
            }

            /// Reads a block, without its length, that stands in `owner`.
            pub(crate) fn read(
                block: &'a [u8],
                owner: $crate::property::Owner,
            ) -> Result<Self, $crate::parse::Fault<'a>> {
                use $crate::property::Property;

                let mut set = Self::default();
                for property in $crate::property::checked(block, owner) {
                    match property? {
                        $(Property::$property(value) => set.$field = Some(value),)*
                        $(Property::$list_property(_) => set.$list = $list_type::Block(block),)*
                        // The table of properties has let through only those above.
                        _ => {}
                    }
                }
                Ok(set)
            }
        }

        impl $crate::sink::Body for $set<'_> {
            fn write(
                &self,
                _: $crate::Version,
                out: &mut impl $crate::sink::Sink,
            ) -> Result<(), $crate::EncodeError> {
                $(
                    if let Some(value) = self.$field {
                        $crate::property::Property::$property(value).write(out)?;
                    }
                )*
                $(
                    for value in self.$list.iter() {
                        $crate::property::Property::$list_property(value).write(out)?;
                    }
                )*
                Ok(())
            }
        }
    };
}

pub(crate) use property_set;
