// record writes the fixtures beside it: what real programs send, one stream a file.
//
//	GO111MODULE=off go run record.go
package main

import (
	"bytes"
	"encoding/gob"
	"math/big"
	"os"
	"strings"
	"time"
)

type Kind int
type Small uint8

type Message struct {
	Type    int
	Sender  string
	Content string
}

// stream writes values to a file, each with an encoder of its own if fresh is true.
func stream(name string, fresh bool, values ...interface{}) {
	var out bytes.Buffer

	encoder := gob.NewEncoder(&out)
	for _, value := range values {
		if fresh {
			encoder = gob.NewEncoder(&out)
		}
		if err := encoder.Encode(value); err != nil {
			panic(err)
		}
	}
	if err := os.WriteFile(name+".gob", out.Bytes(), 0o644); err != nil {
		panic(err)
	}
}

func habits() {
	values := []interface{}{Message{1, "alice", ""}, Message{0, "", "hello"}, Message{0, "mallory", "again"},
		Message{2, "", ""}}

	stream("long-lived", false, values...)
	stream("fresh", true, values...)
	stream("pointers", false, &Message{1, "alice", ""}, &Message{0, "alice", "hello"})
	stream("zero", false, Message{})
	stream("long", false, Message{1, "alice", ""}, Message{0, "alice", strings.Repeat("x", 4096)},
		Message{0, "alice", "short"})
	stream("nul", false, Message{0, "", "a\x00b"}, Message{1, "a\x00b", ""}, Message{0, "", "good"})
	stream("types", false, Message{3, "alice", ""}, Message{-1, "alice", ""}, Message{1 << 40, "alice", ""},
		Message{0, "alice", "good"})
	stream("slash", false, Message{1, "alice", ""}, Message{0, "alice", "/msg bob psst"}, Message{0, "alice", "//x"},
		Message{0, "alice", "/fly"})
	stream("utf8", false, Message{1, "Zoë", ""}, Message{0, "Zoë", "日本 🎉\nsecond line"})
}

func shapes() {
	type Order struct {
		Content string
		Type    Kind
		Sender  string
	}
	type Unsigned struct {
		Sender  string
		Type    Small
		Content string
	}
	type Hidden struct {
		secret  string
		Type    Kind
		Sender  string
		mine    int
		Content string
	}
	type NoSender struct {
		Type    int
		Content string
	}

	stream("order", false, Order{"", 1, "alice"}, Order{"hello", 0, "alice"}, Order{"", 2, "alice"})
	stream("unsigned", false, Unsigned{"alice", 1, ""}, Unsigned{"alice", 0, "hello"}, Unsigned{"alice", 2, ""})
	stream("hidden", false, Hidden{"s", 1, "alice", 7, ""}, Hidden{"s", 0, "alice", 7, "hello"})
	stream("no-sender", false, NoSender{0, "hello"})
}

type Inner struct {
	A int
	B []string
	C map[string][]float64
}

type Node struct {
	Value int
	Next  *Node
}

type Tree map[string]Tree

type Boxed struct{ Any interface{} }

// Extras has a field of each kind before, between and behind those that count.
type Extras struct {
	Bytes   []byte
	Slice   []string
	Array   [3]int
	Small   [4]byte
	Type    Kind
	Map     map[string]int
	Nested  Inner
	Pointer *Inner
	List    *Node
	Tree    Tree
	Sender  string
	Time    time.Time
	Number  *big.Int
	Bool    bool
	Uint    uint64
	Int     int64
	Float   float64
	Complex complex128
	Content string
	Any     interface{}
	Anys    []interface{}
	Behind  string
}

func extras(kind Kind, sender, content string) Extras {
	inner := Inner{-7, []string{"x", "", "y"}, map[string][]float64{"a": {1.5, 0, -2}, "b": nil}}
	return Extras{
		Bytes: []byte{0, 1, 2}, Slice: []string{"Content", ""}, Array: [3]int{0, -1, 1 << 40}, Small: [4]byte{9},
		Type: kind, Map: map[string]int{"Sender": 3, "b": 0}, Nested: inner, Pointer: &inner,
		List: &Node{1, &Node{2, &Node{3, nil}}}, Tree: Tree{"a": {"b": {}, "c": nil}}, Sender: sender,
		Time: time.Unix(1700000000, 5).UTC(), Number: big.NewInt(1234567890123), Bool: true, Uint: 1<<64 - 1,
		Int: -1 << 63, Float: 17.25, Complex: complex(1, -2), Content: content, Any: inner,
		Anys:   []interface{}{1, nil, "text", Boxed{Inner{A: 1}}, time.Unix(0, 0).UTC(), []byte{1}},
		Behind: "behind",
	}
}

func main() {
	gob.Register(Inner{})
	gob.Register(Boxed{})
	gob.Register(time.Time{})

	habits()
	shapes()
	stream("extras", false, extras(1, "alice", ""), extras(0, "alice", "hello"), Extras{Content: "sparse"},
		extras(2, "alice", ""))
	stream("extras-fresh", true, extras(1, "alice", ""), extras(0, "alice", "hello"))
	stream("two-types", false, Message{1, "alice", ""}, extras(0, "", "one"), Message{0, "", "two"},
		extras(0, "", "three"))

	// What is no Message.
	stream("others", false, Inner{A: 1}, 7, "text", []string{"a", "b"}, map[string]int{"a": 1},
		time.Unix(0, 0).UTC(), struct {
			Type    string
			Content string
		}{"0", "x"}, struct{ Content []byte }{[]byte("x")}, Boxed{Inner{A: 1}}, 2.5, true, Message{0, "", "good"})
}
