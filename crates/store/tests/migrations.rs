//! Migrations are never edited (`migrations/README.md`): databases in which they were made as they were would be refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Each migration, by its file, with its SHA-256. Lines are added, and never changed.
const MIGRATIONS: &[(&str, &str)] = &[
    ("postgres/V1__begin.sql", "c30f9a1cab371daaf8df10c4d5238b18c276144f76b64dc5964e5284878806f0"),
    ("postgres/V2__dataset.sql", "92ca91488a46c90b16c4667e8b502a13a1fa2c208525a1cd355af3748050515c"),
    ("postgres/V3__callbacks.sql", "0207bf42dd89c3f602446d9c788328f2cad3465bbc8ff97fbe21c08ecea4ea9d"),
    ("postgres/V4__parked.sql", "10d45357a90eb8002217c22431b610a13f27e7137492cee04063b29a0611f99b"),
    ("postgres/V5__parked_hints.sql", "0fd5976c801013e40c2e0c6802f9d3b3b54fb72e30a7007b8c90f269e5214166"),
    ("sqlite/V1__begin.sql", "b5699aff7ff8c8cead3a282b3da1def078d0ad946bdb243f0ace9f3eaeba9dfd"),
    ("sqlite/V2__dataset.sql", "31c7462d945bc36706e0c81de8f4ee50e98e2694b5dcb50b375129f5af336429"),
    ("sqlite/V3__callbacks.sql", "b9f61fd3e48de48b75839e1b5f7f109aeea1e1a9a937e352524a0552fa6b4c7d"),
    ("sqlite/V4__parked.sql", "1f0162f834f3535f7a716c41bb602164a83d948490f5e275eea5053dd4266fad"),
];

#[test]
fn each_migration_is_what_it_was() {
    let mut found = BTreeMap::new();
    for database in ["postgres", "sqlite"] {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(database);
        for file in fs::read_dir(&place).expect("the migrations") {
            let file = file.expect("a file");
            let name = format!("{database}/{}", file.file_name().to_str().expect("a plain name"));
            let digest = Sha256::digest(fs::read(file.path()).expect("its content"));
            found.insert(name, digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        }
    }
    let known = MIGRATIONS.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned()));
    assert_eq!(found, known.collect(), "what is to change is a new migration, with a line here");
}
