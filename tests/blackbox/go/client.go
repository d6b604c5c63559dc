// client is a chat client as people write them in Go.  It sends what comes on its standard input, and prints what it
// receives; both are lines of JSON, {"Type":0,"Sender":"alice","Content":"hello"}.
//
//	client [-fresh] [-unsigned] ADDRESS
package main

import (
	"bufio"
	"encoding/gob"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
)

type Kind int

type Message struct {
	Type    Kind
	Sender  string
	Content string
}

type Unsigned struct {
	Type    uint8
	Sender  string
	Content string
}

var fresh = flag.Bool("fresh", false, "make a new Encoder and a new Decoder for every message")
var unsigned = flag.Bool("unsigned", false, "have a Type that is unsigned")

// fail ends the program; its reason is what a test looks for.
func fail(doing string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", doing, err)
	os.Exit(1)
}

func receive(conn net.Conn) {
	decoder := gob.NewDecoder(conn)
	for {
		var message Message
		var other Unsigned
		var err error

		if *fresh {
			decoder = gob.NewDecoder(conn)
		}
		if *unsigned {
			err = decoder.Decode(&other)
			message = Message{Kind(other.Type), other.Sender, other.Content}
		} else {
			err = decoder.Decode(&message)
		}
		if err == io.EOF {
			os.Exit(0)
		}
		if err != nil {
			fail("decode", err)
		}
		line, _ := json.Marshal(message)
		fmt.Println(string(line))
	}
}

func main() {
	flag.Parse()
	conn, err := net.Dial("tcp", flag.Arg(0))
	if err != nil {
		fail("connect", err)
	}
	done := make(chan bool)
	go func() {
		receive(conn)
		done <- true
	}()

	encoder := gob.NewEncoder(conn)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var message Message

		if err := json.Unmarshal(lines.Bytes(), &message); err != nil {
			fail("input", err)
		}
		if *fresh {
			encoder = gob.NewEncoder(conn)
		}
		if *unsigned {
			err = encoder.Encode(Unsigned{uint8(message.Type), message.Sender, message.Content})
		} else {
			err = encoder.Encode(message)
		}
		if err != nil {
			fail("encode", err)
		}
	}
	conn.(*net.TCPConn).CloseWrite()
	<-done
}
