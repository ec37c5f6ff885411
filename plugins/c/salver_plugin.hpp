// A plugin in C++17: the tables of `salver_plugin.h`, filled in by classes.
//
// Derive a `salver::Platform` and a `salver::Model`, and export with one line:
//
//     SALVER_PLUGIN_NOTE("mine", "1.0.0", "scale");
//     SALVER_EXPORT_PLATFORMS(ScalePlatform)
//
// A plugin with sources derives a `salver::SourceKind` and a `salver::Source`, and exports both kinds of things:
//
//     SALVER_PLUGIN_NOTE_WITH_SOURCES("mine", "1.0.0", "scale", "listed");
//     SALVER_EXPORT_PLUGIN(salver::Platforms<ScalePlatform>, salver::Sources<ListedKind>)
//
// What is thrown never leaves the library: a `salver::Error` becomes an error of its code, any other `std::exception`
// SALVER_INTERNAL with its text, and anything else SALVER_PANICKED, after which the server loads the model anew.
// `example/offset.cpp` is a whole plugin, and `example/listed.cpp` one with a source.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "salver_plugin.h"

namespace salver {

// An error with one of the codes of `salver_plugin.h`, such as SALVER_INVALID_ARGUMENT.
class Error : public std::runtime_error {
  public:
    Error(uint32_t code, const std::string &message) : std::runtime_error(message), code_(code) {}

    uint32_t code() const noexcept { return code_; }

  private:
    uint32_t code_;
};

// The number of an element type, by the type of C++.
template <typename T> struct dtype_of;
template <> struct dtype_of<uint8_t> : std::integral_constant<uint32_t, SALVER_U8> {};
template <> struct dtype_of<uint16_t> : std::integral_constant<uint32_t, SALVER_U16> {};
template <> struct dtype_of<uint32_t> : std::integral_constant<uint32_t, SALVER_U32> {};
template <> struct dtype_of<uint64_t> : std::integral_constant<uint32_t, SALVER_U64> {};
template <> struct dtype_of<int8_t> : std::integral_constant<uint32_t, SALVER_I8> {};
template <> struct dtype_of<int16_t> : std::integral_constant<uint32_t, SALVER_I16> {};
template <> struct dtype_of<int32_t> : std::integral_constant<uint32_t, SALVER_I32> {};
template <> struct dtype_of<int64_t> : std::integral_constant<uint32_t, SALVER_I64> {};
template <> struct dtype_of<float> : std::integral_constant<uint32_t, SALVER_F32> {};
template <> struct dtype_of<double> : std::integral_constant<uint32_t, SALVER_F64> {};

inline std::string_view view(SalverStr text) { return {text.data, text.size}; }

// A tensor of the server's, borrowed for the call.
class TensorView {
  public:
    explicit TensorView(const SalverTensor &tensor) : tensor_(&tensor) {}

    uint32_t dtype() const { return tensor_->dtype; }
    std::vector<int64_t> shape() const { return {tensor_->shape, tensor_->shape + tensor_->rank}; }

    // The elements. Throws where they are of another type.
    template <typename T> const T *data() const {
        expect(dtype_of<T>::value);
        return static_cast<const T *>(tensor_->data);
    }
    // How many elements of type T there are.
    template <typename T> size_t size() const { return tensor_->size / sizeof(T); }

    // The elements of a tensor of strings.
    std::vector<std::string_view> strings() const {
        expect(SALVER_STRING);
        std::vector<std::string_view> found;
        const auto *elements = static_cast<const SalverBytes *>(tensor_->data);
        for (size_t i = 0; i < tensor_->size / sizeof(SalverBytes); i++) {
            found.emplace_back(reinterpret_cast<const char *>(elements[i].data), elements[i].size);
        }
        return found;
    }

  private:
    void expect(uint32_t wanted) const {
        if (tensor_->dtype != wanted) {
            throw Error(SALVER_INVALID_ARGUMENT, "element type " + std::to_string(tensor_->dtype) + ", wanted " +
                                                     std::to_string(wanted));
        }
    }

    const SalverTensor *tensor_;
};

// A tensor of the plugin's own.
class Tensor {
  public:
    // Takes the elements over. Throws where they are not as many as the shape says.
    template <typename T> Tensor(std::vector<int64_t> shape, std::vector<T> elements) : shape_(std::move(shape)) {
        check(elements.size());
        auto kept = std::make_shared<std::vector<T>>(std::move(elements));
        fill(dtype_of<T>::value, kept->data(), kept->size() * sizeof(T));
        kept_ = std::move(kept);
    }

    Tensor(std::vector<int64_t> shape, std::vector<std::string> elements) : shape_(std::move(shape)) {
        check(elements.size());
        struct Kept {
            std::vector<std::string> strings;
            std::vector<SalverBytes> spans;
        };
        auto kept = std::make_shared<Kept>();
        kept->strings = std::move(elements);
        for (const std::string &string : kept->strings) {
            kept->spans.push_back({reinterpret_cast<const uint8_t *>(string.data()), string.size()});
        }
        fill(SALVER_STRING, kept->spans.data(), kept->spans.size() * sizeof(SalverBytes));
        kept_ = std::move(kept);
    }

    // As the tables have it; valid as long as this tensor is, and not moved.
    SalverTensor raw() const { return {dtype_, static_cast<uint32_t>(shape_.size()), shape_.data(), data_, size_}; }

  private:
    void check(size_t count) const {
        size_t wanted = 1;
        for (int64_t size : shape_) {
            wanted *= static_cast<size_t>(size);
        }
        if (count != wanted) {
            throw Error(SALVER_INTERNAL, std::to_string(count) + " elements for a shape of " + std::to_string(wanted));
        }
    }

    void fill(uint32_t dtype, const void *data, size_t size) {
        dtype_ = dtype;
        data_ = data;
        size_ = size;
    }

    std::vector<int64_t> shape_;
    uint32_t dtype_ = SALVER_ABSENT;
    const void *data_ = nullptr;
    size_t size_ = 0;
    std::shared_ptr<void> kept_;
};

// A declared input or output; a size of -1 is any.
struct Spec {
    std::string name;
    uint32_t dtype;
    // Without one, any shape.
    std::optional<std::vector<int64_t>> shape;
    // Of an input: a request may leave it out.
    bool optional = false;
};

// One way to call a model.
struct Signature {
    std::vector<Spec> inputs;
    std::vector<Spec> outputs;
    std::string name = "serving_default";
    std::string method = "";
};

// What a model is given to compute.
class Request {
  public:
    explicit Request(const SalverRunRequest &request) : request_(&request) {}

    size_t signature() const { return request_->signature; }

    // The input at a position of the signature; none where an optional one is left out.
    std::optional<TensorView> input_if_there(size_t index) const {
        if (index >= request_->input_count) {
            throw Error(SALVER_INTERNAL, "there is no input " + std::to_string(index));
        }
        const SalverTensor &tensor = request_->inputs[index];
        return tensor.dtype == SALVER_ABSENT ? std::nullopt : std::optional<TensorView>(TensorView(tensor));
    }
    TensorView input(size_t index) const {
        if (auto found = input_if_there(index)) {
            return *found;
        }
        throw Error(SALVER_INVALID_ARGUMENT, "input " + std::to_string(index) + " is missing");
    }

    // The outputs wanted, by position, in the order in which to return them.
    std::vector<size_t> outputs() const { return {request_->outputs, request_->outputs + request_->output_count}; }

    bool is_cancelled() const {
        return request_->cancelled != nullptr && __atomic_load_n(request_->cancelled, __ATOMIC_ACQUIRE) != 0;
    }

    // Deadline, trace, parameters.
    const SalverRunRequest &raw() const { return *request_; }

  private:
    const SalverRunRequest *request_;
};

// A loaded model. `run` is called from many threads at once.
class Model {
  public:
    virtual ~Model() = default;

    // The ways to call it. Asked once.
    virtual std::vector<Signature> signatures() const = 0;

    // The outputs that the request asks for, in its order.
    virtual std::vector<Tensor> run(const Request &request) = 0;
};

// Recognises and loads models. Called from many threads at once.
class Platform {
  public:
    virtual ~Platform() = default;

    virtual std::string name() const = 0;

    // The file by which it recognises the directory of a version; none where it does not.
    virtual std::optional<std::string> probe(const std::string &directory) = 0;

    virtual std::unique_ptr<Model> load(const std::string &directory, const SalverLoadRequest &request) = 0;
};

// Values by name, borrowed for the call.
class Options {
  public:
    Options(const SalverParam *values, size_t count) : values_(values), count_(count) {}

    // The value of this name, where it is there.
    const SalverParam *find(std::string_view name) const {
        for (size_t i = 0; i < count_; i++) {
            if (view(values_[i].name) == name) {
                return &values_[i];
            }
        }
        return nullptr;
    }

    // The text of this name, where it is there. Throws where the value is no text.
    std::optional<std::string> text(std::string_view name) const {
        const SalverParam *value = find(name);
        if (value == nullptr) {
            return std::nullopt;
        }
        if (value->kind != SALVER_PARAM_TEXT) {
            throw Error(SALVER_INVALID_ARGUMENT, "option `" + std::string(name) + "` is no text");
        }
        return std::string(view(value->text));
    }

  private:
    const SalverParam *values_;
    size_t count_;
};

// A version that there should be.
struct Aspired {
    int64_t number;
    // Where its files are: an absolute path.
    std::string directory;
    // Changes when the stored data do, and only then.
    uint64_t revision = 0;
    // Why there is nothing to load it from, in place of the directory.
    std::optional<Error> error = std::nullopt;
};

// Whoever is told which versions there should be. Used from any thread, and copied at will.
class Target {
  public:
    explicit Target(const SalverTargetV1 *target) : target_(target) {}

    // Says which versions one stream should have, all of them: one that is left out is unloaded. Throws what the server
    // refuses it with: SALVER_ALREADY_EXISTS where the stream is another source's, which may pass, and SALVER_CANCELLED where
    // the source is being ended.
    void set_aspired(const std::string &stream, const std::vector<Aspired> &versions) const;

    // Says that the source cannot tell which versions the stream should have, and why: what is loaded stays.
    void set_trouble(const std::string &stream, const Error &error) const;

  private:
    void say(const SalverAspiredStream &stream) const;

    const SalverTargetV1 *target_;
};

// Says which versions there should be, from when it is made. When its destructor has returned, no thread of it uses the target
// any more.
class Source {
  public:
    virtual ~Source() = default;
};

// A kind of source, of which any number may be made.
class SourceKind {
  public:
    virtual ~SourceKind() = default;

    // What the command line calls it: lower case.
    virtual std::string name() const = 0;

    // What it is, in a sentence.
    virtual std::string description() const = 0;

    virtual std::unique_ptr<Source> create(const Options &options, Target target) = 0;
};

namespace detail {

// Does `body`, out of which nothing is thrown.
template <typename Body> uint32_t guarded(const SalverErrorSink *error, Body body) noexcept {
    try {
        body();
        return SALVER_OK;
    } catch (const Error &thrown) {
        return salver_fail(error, thrown.code(), thrown.what());
    } catch (const std::bad_alloc &) {
        return salver_fail(error, SALVER_RESOURCE_EXHAUSTED, "out of memory");
    } catch (const std::exception &thrown) {
        return salver_fail(error, SALVER_INTERNAL, thrown.what());
    } catch (...) {
        return salver_fail(error, SALVER_PANICKED, "something was thrown that is no std::exception");
    }
}

inline SalverStr str(const std::string &text) { return {text.data(), text.size()}; }

inline SalverStr what(const Error &error) { return {error.what(), std::strlen(error.what())}; }

inline uint32_t keep_message(void *kept, uint32_t code, SalverStr message) {
    try {
        *static_cast<std::string *>(kept) = std::string(view(message));
    } catch (...) {
        // The code says it without.
    }
    return code;
}

// Signatures as the tables have them, and the strings and sizes that they point to.
class Signatures {
  public:
    explicit Signatures(std::vector<Signature> signatures) : signatures_(std::move(signatures)) {
        size_t count = 0;
        for (const Signature &signature : signatures_) {
            count += signature.inputs.size() + signature.outputs.size();
        }
        // Never grown after: the tables point into it.
        specs_.reserve(count);
        for (const Signature &signature : signatures_) {
            const SalverTensorSpec *inputs = add(signature.inputs);
            const SalverTensorSpec *outputs = add(signature.outputs);
            tables_.push_back({str(signature.name), str(signature.method), inputs, signature.inputs.size(), outputs,
                               signature.outputs.size()});
        }
    }

    SalverSignatures raw() const { return {tables_.data(), tables_.size()}; }

  private:
    const SalverTensorSpec *add(const std::vector<Spec> &specs) {
        const SalverTensorSpec *first = specs_.data() + specs_.size();
        for (const Spec &spec : specs) {
            int32_t rank = spec.shape ? static_cast<int32_t>(spec.shape->size()) : SALVER_ANY_RANK;
            const int64_t *shape = spec.shape ? spec.shape->data() : nullptr;
            specs_.push_back({str(spec.name), spec.dtype, rank, shape, spec.optional ? SALVER_OPTIONAL : 0u, nullptr});
        }
        return first;
    }

    std::vector<Signature> signatures_;
    std::vector<SalverTensorSpec> specs_;
    std::vector<SalverSignature> tables_;
};

// What the `model` pointer of the tables points to.
struct Loaded {
    std::unique_ptr<Model> model;
    Signatures signatures;
};

// Outputs, until they are released.
struct Outputs {
    std::vector<Tensor> tensors;
    std::vector<SalverTensor> tables;
};

inline SalverSignatures signatures(void *model) { return static_cast<Loaded *>(model)->signatures.raw(); }

inline uint32_t run(void *model, const SalverRunRequest *request, SalverOutputs *out, const SalverErrorSink *error) {
    return guarded(error, [&] {
        auto outputs = std::make_unique<Outputs>();
        outputs->tensors = static_cast<Loaded *>(model)->model->run(Request(*request));
        for (const Tensor &tensor : outputs->tensors) {
            outputs->tables.push_back(tensor.raw());
        }
        *out = {outputs->tables.data(), outputs->tables.size(), outputs.get()};
        outputs.release();
    });
}

inline void release(void *, void *owner) { delete static_cast<Outputs *>(owner); }

inline void unload(void *model) { delete static_cast<Loaded *>(model); }

inline const SalverModelV1 model_table = {signatures, run, release, unload};

inline uint32_t probe(const void *context, SalverStr directory, const SalverTextSink *text) {
    auto *platform = static_cast<Platform *>(const_cast<void *>(context));
    std::optional<std::string> file;
    std::string reason = "no file of " + platform->name();
    try {
        file = platform->probe(std::string(view(directory)));
    } catch (const std::exception &thrown) {
        reason = thrown.what();
    } catch (...) {
        reason = "something was thrown that is no std::exception";
    }
    text->put(text->context, str(file ? *file : reason));
    return file ? 1 : 0;
}

inline uint32_t load(const void *context, const SalverLoadRequest *request, SalverLoadedModel *out,
                     const SalverErrorSink *error) {
    auto *platform = static_cast<Platform *>(const_cast<void *>(context));
    return guarded(error, [&] {
        auto model = platform->load(std::string(view(request->directory)), *request);
        if (!model) {
            throw Error(SALVER_INTERNAL, "`load` returned no model");
        }
        Signatures declared(model->signatures());
        *out = {new Loaded{std::move(model), std::move(declared)}, &model_table};
    });
}

inline uint32_t create(const void *context, const SalverParam *options, size_t option_count,
                       const SalverTargetV1 *target, void **source, const SalverErrorSink *error) {
    auto *kind = static_cast<SourceKind *>(const_cast<void *>(context));
    return guarded(error, [&] { *source = kind->create(Options(options, option_count), Target(target)).release(); });
}

inline void destroy(const void *, void *source) { delete static_cast<Source *>(source); }

} // namespace detail

inline void Target::say(const SalverAspiredStream &stream) const {
    std::string message;
    SalverErrorSink sink = {&message, detail::keep_message};
    uint32_t code = target_->set_aspired(target_->context, &stream, &sink);
    if (code != SALVER_OK) {
        throw Error(code, message);
    }
}

inline void Target::set_aspired(const std::string &stream, const std::vector<Aspired> &versions) const {
    std::vector<SalverAspiredVersion> told;
    for (const Aspired &version : versions) {
        uint32_t code = version.error ? version.error->code() : SALVER_OK;
        SalverStr reason = version.error ? detail::what(*version.error) : SalverStr{nullptr, 0};
        told.push_back({version.number, version.revision, code, detail::str(version.directory), reason});
    }
    say({detail::str(stream), SALVER_OK, {nullptr, 0}, told.data(), told.size()});
}

inline void Target::set_trouble(const std::string &stream, const Error &error) const {
    say({detail::str(stream), error.code(), detail::what(error), nullptr, 0});
}

// The platforms of a plugin: classes that derive from `Platform` and can be made from nothing.
template <typename... Classes> struct Platforms {};

// The kinds of sources of a plugin: classes that derive from `SourceKind` and can be made from nothing.
template <typename... Classes> struct Sources {};

namespace detail {

// Platforms or kinds of sources, made when the server starts the plugin and never freed, and their tables.
template <typename Class, typename Table> struct Made {
    std::unique_ptr<Class> made;
    std::string name, description;
    Table table;
};

inline void fill(Made<Platform, SalverPlatformV1> &platform) {
    platform.name = platform.made->name();
    platform.table = {platform.made.get(), str(platform.name), probe, load};
}

inline void fill(Made<SourceKind, SalverSourceV1> &kind) {
    kind.name = kind.made->name();
    kind.description = kind.made->description();
    kind.table = {kind.made.get(), str(kind.name), str(kind.description), create, destroy};
}

template <typename Class, typename Table> struct List {
    using Entry = Made<Class, Table>;

    static std::vector<Entry> &entries() {
        static auto *made = new std::vector<Entry>();
        return *made;
    }

    template <typename... Classes> static void make() {
        // So that the entries, which the tables point into, stay where they are.
        entries().reserve(sizeof...(Classes));
        (entries().push_back({std::make_unique<Classes>(), {}, {}, {}}), ...);
        for (Entry &entry : entries()) {
            fill(entry);
        }
    }

    static size_t count() { return entries().size(); }

    static const Table *at(size_t index) { return index < entries().size() ? &entries()[index].table : nullptr; }
};

template <typename P, typename S = Sources<>> struct Plugin;

template <typename... P, typename... S> struct Plugin<Platforms<P...>, Sources<S...>> {
    using PlatformList = List<Platform, SalverPlatformV1>;
    using SourceList = List<SourceKind, SalverSourceV1>;

    static uint32_t start(const SalverHostV1 *host, const SalverErrorSink *error) {
        return guarded(error, [&] {
            host_tables() = host;
            PlatformList::make<P...>();
            SourceList::make<S...>();
        });
    }

    static const SalverHostV1 *&host_tables() {
        static const SalverHostV1 *host = nullptr;
        return host;
    }

    static constexpr SalverPluginV1 platforms = {start, PlatformList::count, PlatformList::at};
    static constexpr SalverSourcesV1 sources = {SourceList::count, SourceList::at};

    static const void *table(SalverStr name) {
        if (salver_str_is(name, SALVER_PLUGIN_V1)) {
            return &platforms;
        }
        return sizeof...(S) > 0 && salver_str_is(name, SALVER_SOURCES_V1) ? &sources : nullptr;
    }
};

} // namespace detail
} // namespace salver

// Exports platforms: classes that derive from `salver::Platform` and can be made from nothing. Once in a library, beside
// SALVER_PLUGIN_NOTE.
#define SALVER_EXPORT_PLATFORMS(...) SALVER_EXPORT_PLUGIN(salver::Platforms<__VA_ARGS__>)

// Exports platforms and kinds of sources: `salver::Platforms<...>` and `salver::Sources<...>`, either of which may be of none.
// Once in a library, beside SALVER_PLUGIN_NOTE_WITH_SOURCES.
#define SALVER_EXPORT_PLUGIN(...)                                                                                      \
    SALVER_EXPORT const void *salver_plugin_table(SalverStr name) {                                                    \
        return salver::detail::Plugin<__VA_ARGS__>::table(name);                                                       \
    }
