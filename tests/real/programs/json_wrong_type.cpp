#include <nlohmann/json.hpp>

struct Opaque {
    void* handle;
};

Opaque read(const nlohmann::json& document) { return document.get<Opaque>(); }
